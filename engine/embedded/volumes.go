package embedded

import (
	"context"
	"strings"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	dockervolume "github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// VolumeCreate implements engine.Volumes.
func (e *Engine) VolumeCreate(ctx context.Context, opts dockervolume.CreateOptions) (dockervolume.Volume, error) {
	v, created, err := e.volumes.Create(opts)
	if err != nil {
		return v, fullDisk(err)
	}
	if created {
		e.volumeEvent(v.Name, events.ActionCreate)
	}
	return v, nil
}

var volumeFilters = map[string]bool{"dangling": true, "driver": true, "label": true, "name": true}

// VolumeList implements engine.Volumes.
func (e *Engine) VolumeList(ctx context.Context, opts dockervolume.ListOptions) ([]dockervolume.Volume, error) {
	f := opts.Filters
	if err := f.Validate(volumeFilters); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list volumes: %w", err)
	}
	dangling, err := f.GetBoolOrDefault("dangling", false)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot list volumes: %w", err)
	}
	list := []dockervolume.Volume{}
	for _, v := range e.volumes.List() {
		switch {
		case !f.ExactMatch("driver", v.Driver), !matchName(f, v.Name), !f.MatchKVList("label", v.Labels):
		case f.Contains("dangling") && dangling != (e.volumeUser(v.Name) == ""):
		default:
			list = append(list, v)
		}
	}
	return list, nil
}

// matchName matches any part of the name, as Docker's clients expect.
func matchName(f filters.Args, name string) bool {
	wanted := f.Get("name")
	if len(wanted) == 0 || f.Match("name", name) {
		return true
	}
	for _, part := range wanted {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// VolumeInspect implements engine.Volumes.
func (e *Engine) VolumeInspect(ctx context.Context, name string) (dockervolume.Volume, error) {
	return e.volumes.Inspect(name)
}

// VolumeRemove implements engine.Volumes.
func (e *Engine) VolumeRemove(ctx context.Context, name string, force bool) error {
	return e.removeVolume(name)
}

// removeVolume removes the volume unless a container uses it.
func (e *Engine) removeVolume(name string) error {
	e.volumeMu.Lock()
	defer e.volumeMu.Unlock()
	if user := e.volumeUser(name); user != "" {
		return engine.Errorf(engine.ErrConflict, "cannot remove volume %s: container %s uses it", name, user)
	}
	if err := e.volumes.Remove(name); err != nil {
		return err
	}
	e.volumeEvent(name, events.ActionDestroy)
	return nil
}

// volumeUser names a container that mounts the volume; "" if none does.
func (e *Engine) volumeUser(name string) string {
	for _, c := range e.containers.All() {
		if r := c.Record(); r.UsesVolume(name) {
			return r.Name
		}
	}
	return ""
}
