package snapshot

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"

	"stackrun.dev/stack/engine"
)

const (
	// lowerPrefix names the views that pin snapshots for Lower.
	lowerPrefix = "lower-"
	rootLabel   = "containerd.io/gc.root"
)

// lowers are the snapshots that were given out. Each is pinned by a view, which is durable: a container that runs while
// the engine restarts keeps its layers.
type lowers struct {
	mu      sync.Mutex
	dirs    map[string]*lower // by key; with the users gone an entry stays as a cache until the next collection
	settled bool              // no view is here that only an earlier process knows the users of
}

type lower struct {
	dirs  []string
	users int
}

// Lower returns the directories of the snapshot key, the topmost first, as overlayfs wants them in lowerdir. They stay
// as they are until release is called, even if the image is removed meanwhile. They also stay over a restart, until
// Settle. ErrNotFound: no such snapshot.
func (s *Store) Lower(ctx context.Context, key string) (dirs []string, release func(), err error) {
	s.lowers.mu.Lock()
	defer s.lowers.mu.Unlock()
	l := s.lowers.dirs[key]
	if l == nil {
		if l, err = s.pin(s.Context(ctx), key); err != nil {
			return nil, nil, err
		}
		s.lowers.dirs[key] = l
	}
	l.users++
	return l.dirs, sync.OnceFunc(func() { s.unpin(l) }), nil
}

func (s *Store) pin(ctx context.Context, key string) (*lower, error) {
	name := lowerPrefix + key
	mounts, err := s.snapshots.View(ctx, name, key,
		snapshots.WithLabels(map[string]string{rootLabel: time.Now().UTC().Format(time.RFC3339)}))
	if errdefs.IsAlreadyExists(err) {
		mounts, err = s.snapshots.Mounts(ctx, name)
	}
	if errdefs.IsNotFound(err) {
		return nil, engine.Errorf(engine.ErrNotFound, "no such snapshot: %s", key)
	}
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot use snapshot %s: %w", key, err)
	}
	dirs, err := lowerDirs(mounts)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot use snapshot %s: %w", key, err)
	}
	return &lower{dirs: dirs}, nil
}

func (s *Store) unpin(l *lower) {
	s.lowers.mu.Lock()
	defer s.lowers.mu.Unlock()
	l.users--
}

// Settle says that Lower was called again for everything that has used snapshots since before the store was opened. From
// then on what nobody uses can be collected.
func (s *Store) Settle() {
	s.lowers.mu.Lock()
	defer s.lowers.mu.Unlock()
	s.lowers.settled = true
}

// inherit looks for views of an earlier process.
func (s *Store) inherit() error {
	s.lowers.settled = true
	return s.eachView(s.Context(context.Background()), func(string) { s.lowers.settled = false })
}

func (s *Store) eachView(ctx context.Context, do func(key string)) error {
	return s.snapshots.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if key, ours := strings.CutPrefix(info.Name, lowerPrefix); ours {
			do(key)
		}
		return nil
	}, "kind==view")
}

// dropIdleLowers removes the views that nobody uses, so that a collection can take the snapshots under them.
func (s *Store) dropIdleLowers(ctx context.Context) error {
	s.lowers.mu.Lock()
	defer s.lowers.mu.Unlock()
	if !s.lowers.settled {
		return nil
	}
	var idle []string
	err := s.eachView(ctx, func(key string) {
		if l := s.lowers.dirs[key]; l == nil || l.users == 0 {
			idle = append(idle, key)
		}
	})
	if err != nil {
		return err
	}
	for _, key := range idle {
		if err := s.snapshots.Remove(ctx, lowerPrefix+key); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		delete(s.lowers.dirs, key)
	}
	return nil
}

// lowerDirs takes the directories out of the mount of a view: one directory is a bind mount, several are an overlay.
func lowerDirs(mounts []mount.Mount) ([]string, error) {
	if len(mounts) != 1 {
		return nil, engine.Errorf(engine.ErrInternal, "%d mounts where one was expected", len(mounts))
	}
	if mounts[0].Type == "bind" {
		return []string{mounts[0].Source}, nil
	}
	for _, option := range mounts[0].Options {
		if dirs, ok := strings.CutPrefix(option, "lowerdir="); ok {
			return strings.Split(dirs, ":"), nil
		}
	}
	return nil, engine.Errorf(engine.ErrInternal, "a mount of type %s without lowerdir", mounts[0].Type)
}
