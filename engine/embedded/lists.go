package embedded

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	dockercontainer "github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine/embedded/container"
)

// ContainerList implements engine.Containers.
func (e *Engine) ContainerList(ctx context.Context, opts dockercontainer.ListOptions) ([]dockercontainer.Summary, error) {
	chosen, err := container.Select(e.allRecords(), opts, container.Lookups{Container: e.record, ImageID: func(ref string) string {
		img, err := e.images.Resolve(ctx, ref)
		if err != nil {
			return ""
		}
		return img.ID
	}})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	list := make([]dockercontainer.Summary, 0, len(chosen))
	for i := range chosen {
		summary := container.Summary(&chosen[i], now, e.volumePath)
		if opts.Size {
			summary.SizeRw, summary.SizeRootFs = e.sizes(ctx, &chosen[i])
		}
		list = append(list, summary)
	}
	return list, nil
}

func (e *Engine) allRecords() []container.Record {
	all := e.containers.All()
	records := make([]container.Record, len(all))
	for i, c := range all {
		records[i] = c.Record()
	}
	return records
}

// volumePath is where a volume is on the host. It asks the record only: nothing is mounted for being shown.
func (e *Engine) volumePath(name string) string {
	v, err := e.volumes.Inspect(name)
	if err != nil {
		return ""
	}
	return v.Mountpoint
}

// sizes are the bytes that the container has written, and those together with its image's.
func (e *Engine) sizes(ctx context.Context, r *container.Record) (written, total int64) {
	_ = filepath.WalkDir(filepath.Join(e.dir(r.ID), "upper"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it was removed meanwhile
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			written += info.Size()
		}
		return nil
	})
	total = written
	if img, err := e.images.Resolve(ctx, r.Image); err == nil {
		total += img.Size
	}
	return written, total
}

// ContainerInspect implements engine.Containers.
func (e *Engine) ContainerInspect(ctx context.Context, ref string) (dockercontainer.InspectResponse, error) {
	c, err := e.find(ref)
	if err != nil {
		return dockercontainer.InspectResponse{}, err
	}
	record := c.Record()
	around := container.Surroundings{Dir: e.dir(c.ID), VolumePath: e.volumePath, ExecIDs: e.execs.ids(c.ID)}
	if path := e.logPath(&record); path != "" {
		if _, err := os.Stat(path); err == nil {
			around.LogPath = path
		}
	}
	return container.Inspect(&record, around), nil
}
