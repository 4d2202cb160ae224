package syncing

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
)

// judge says what the failure of a Sync in a container means. A container that is gone, or is being removed, has no failures, and
// neither has one that does not run: it is compared when it starts. One that has ended meanwhile and runs again is worth a second try.
func (s *Services) judge(ctx context.Context, m member, err error) (told error, again bool) {
	is, failed := s.engine.ContainerInspect(ctx, m.id)
	if gone(is, failed) {
		s.members.forget(m.id)
		return nil, false
	}
	s.members.update(m.id, func(m *member) { m.behind = true })
	switch {
	case failed == nil && !is.State.Running:
		return nil, false
	case failed == nil && errors.Is(err, engine.ErrConflict):
		again = true
	}
	return fmt.Errorf("cannot sync to container %s of service %s: %w%s", m.name, m.service, m.named(err), advice(is, err)), again
}

// named has the container's name for its ID.
func (m member) named(err error) error {
	return &engine.Error{Text: strings.ReplaceAll(err.Error(), m.id, m.name), Err: err}
}

// gone says of what an inspection has returned that the container is no more, or will soon be.
func gone(is container.InspectResponse, err error) bool {
	if err != nil {
		return errors.Is(err, engine.ErrNotFound)
	}
	return is.State.Status == container.StateRemoving || is.State.Status == container.StateDead
}

// advice says what to do about a failure, where that is known.
func advice(is container.InspectResponse, err error) string {
	switch {
	case !errors.Is(err, engine.ErrForbidden):
		return ""
	case is.ContainerJSONBase != nil && is.HostConfig != nil && is.HostConfig.ReadonlyRootfs:
		return "; its root file system is read-only: mount a volume at the target, or bind-mount the folder instead of syncing it"
	}
	return "; sync to another target, or mount what is there without read_only"
}

// noteVolatile finds out, the first time, what a start of the container empties, and notes when something is synced there: then it
// is gone after each start.
func (s *Services) noteVolatile(ctx context.Context, m member, files []session.File) {
	if !m.asked {
		is, err := s.engine.ContainerInspect(ctx, m.id)
		if err != nil {
			return // whatever is done to it says so
		}
		m.emptied = emptiedBy(is)
		s.members.update(m.id, func(known *member) { known.asked, known.emptied = true, m.emptied })
	}
	if m.volatile || len(m.emptied) == 0 {
		return
	}
	if slices.ContainsFunc(files, func(f session.File) bool { return m.empties(f.Target) }) {
		s.members.update(m.id, func(known *member) { known.volatile = true })
	}
}

// emptiedBy are the directories that begin empty with each start of a container.
func emptiedBy(is container.InspectResponse) []string {
	var out []string
	if is.ContainerJSONBase != nil && is.HostConfig != nil {
		for dir := range is.HostConfig.Tmpfs {
			out = append(out, path.Clean(dir))
		}
		for _, m := range is.HostConfig.Mounts {
			if m.Type == mount.TypeTmpfs {
				out = append(out, path.Clean(m.Target))
			}
		}
	}
	for _, m := range is.Mounts {
		if m.Type == mount.TypeTmpfs {
			out = append(out, path.Clean(m.Destination))
		}
	}
	return out
}

func (m *member) empties(target string) bool {
	return slices.ContainsFunc(m.emptied, func(dir string) bool {
		return target == dir || strings.HasPrefix(target, strings.TrimSuffix(dir, "/")+"/")
	})
}
