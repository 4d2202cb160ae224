package embedded

import (
	"errors"
	"sync"

	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
)

// volumeUse knows which volumes are mounted by containers that run or are being started: a volume in memory is gone
// when the last of them has ended.
type volumeUse struct {
	mu  sync.Mutex
	all map[string]map[string]bool // volume to IDs of containers
}

func (u *volumeUse) begin(r *container.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[string]map[string]bool{}
	}
	for _, m := range r.Mounts {
		if m.Type != mount.TypeVolume {
			continue
		}
		if u.all[m.Name] == nil {
			u.all[m.Name] = map[string]bool{}
		}
		u.all[m.Name][r.ID] = true
	}
}

// end calls idle for every volume that nobody uses any more. A new user waits until it has returned.
func (u *volumeUse) end(r *container.Record, idle func(name string) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	var errs []error
	for _, m := range r.Mounts {
		users := u.all[m.Name]
		if m.Type != mount.TypeVolume || !users[r.ID] {
			continue
		}
		delete(users, r.ID)
		if len(users) == 0 {
			delete(u.all, m.Name)
			errs = append(errs, idle(m.Name))
		}
	}
	return errors.Join(errs...)
}

// releaseVolumes is told that the container does not use its volumes for now.
func (e *Engine) releaseVolumes(r *container.Record) error {
	return e.volumeUse.end(r, func(name string) error {
		err := e.volumes.Release(name)
		if errors.Is(err, engine.ErrNotFound) {
			return nil
		}
		return err
	})
}
