package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/files"
)

// trail notes the directories in which a sync is at work, in a file of the run directory. It outlives an engine that is killed, so
// that the next one finds what has not got its place yet. It is not written to the disk for good: whoever loses it by a crash of the
// machine has at worst a file of an odd name in a volume.
type trail struct {
	path  string
	noted map[string]bool
	file  *os.File
}

// temporary is the name that a file which is synced has for a moment.
func temporary(id string) string { return ".stack-sync-" + id[:12] }

func (e *Engine) trails() string { return filepath.Join(e.opts.Run, "syncs") }

// trail begins a trail of the container, after having removed what one before led to. The caller has the turn to sync.
func (e *Engine) trail(r *reach) (*trail, error) {
	id := r.container.ID
	if err := e.followTrail(r); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.trails(), 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(e.trails(), id)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	return &trail{path: path, noted: map[string]bool{}, file: file}, err
}

// note notes a directory.
func (t *trail) note(dir string) error {
	if t.noted[dir] {
		return nil
	}
	_, err := t.file.WriteString(dir + "\x00")
	t.noted[dir] = err == nil
	return err
}

// end forgets the trail: the sync has cleaned up by itself.
func (t *trail) end() error { return errors.Join(t.file.Close(), os.Remove(t.path)) }

// followTrail removes what a sync left that was killed.
func (e *Engine) followTrail(r *reach) error {
	id := r.container.ID
	path := filepath.Join(e.trails(), id)
	noted, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dirs := strings.Split(string(noted), "\x00")
	for _, dir := range dirs[:len(dirs)-1] { // the last one ends with the file
		if err := files.RemoveLeftover(r.root, dir, temporary(id)); err != nil {
			return err
		}
	}
	return os.Remove(path)
}

// followTrails removes what is left of the syncs in the middle of which the last engine was killed.
func (e *Engine) followTrails() {
	entries, err := os.ReadDir(e.trails())
	if err != nil {
		return // there has never been one
	}
	for _, entry := range entries {
		e.tidy(func(ctx context.Context) error { return e.followTrailOf(ctx, entry.Name()) })
	}
}

func (e *Engine) followTrailOf(ctx context.Context, id string) error {
	done, err := e.syncing.take(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	r, err := e.reach(ctx, id, toSync)
	if errors.Is(err, engine.ErrNotFound) {
		return os.Remove(filepath.Join(e.trails(), id))
	}
	if err != nil {
		return err
	}
	return errors.Join(e.followTrail(r), r.Close())
}
