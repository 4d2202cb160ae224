package launch

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"
)

// Informer tells which engine it is.
type Informer interface {
	Info(ctx context.Context) (system.Info, error)
}

// EngineID names the engine itself, whatever address it was reached at. Ours is known by its root without being asked; one that
// does not tell is known by its address.
func EngineID(ctx context.Context, e Informer, t Target) (string, error) {
	if t.Embedded {
		sum := sha256.Sum256([]byte(filepath.Clean(t.Root)))
		return hex.EncodeToString(sum[:4]), nil // what its Info says, for those who come by another address
	}
	info, err := e.Info(ctx)
	if err != nil {
		return "", err
	}
	return cmp.Or(info.ID, realHost(t)), nil
}

// realHost is the address without symbolic links.
func realHost(t Target) string {
	if path := t.Socket(); path != "" {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return "unix://" + real
		}
	}
	return t.Host
}

// ProjectKey names a project of an engine, in a form that fits into a file's name: for its lock and for what is kept about it.
func ProjectKey(ctx context.Context, e Informer, t Target, project string) (string, error) {
	id, err := EngineID(ctx, e, t)
	if err != nil {
		return "", err
	}
	return KeyOf(id, project), nil
}

// KeyOf is ProjectKey where the engine's ID is known already.
func KeyOf(engineID, project string) string {
	sum := sha256.Sum256([]byte(engineID + "\x00" + project))
	return hex.EncodeToString(sum[:8])
}

// Locks is a directory with locks of projects.
type Locks struct {
	Dir    string
	Shared bool // by all users, like /tmp
}

// SharedLocks are those of projects on engines that other users use too: whoever may use the engine may have to wait for whoever
// else does.
var SharedLocks = Locks{Dir: "/run/lock/stack", Shared: true}

// OwnLocks are those that belong to a run directory.
func OwnLocks(run string) Locks { return Locks{Dir: filepath.Join(run, "projects")} }

// ProjectLock keeps other runs away from a project.
type ProjectLock struct {
	dir  *lockDir
	name string
	lock *Lock
}

// LockProject takes the lock that keeps two runs on one project of one engine apart; key is its ProjectKey. It holds on this
// machine only, and the kernel takes it back when the process ends.
//
// If somebody else has it, waiting is called once, and LockProject waits until the lock is free or the context is done. An
// error of waiting ends it at once.
func LockProject(ctx context.Context, at Locks, key string, as Holder, waiting func(Holder) error) (*ProjectLock, error) {
	d, err := openLockDir(at)
	if err != nil {
		return nil, err
	}
	l := &ProjectLock{dir: d, name: key + ".lock"}
	for l.lock == nil && err == nil {
		err = l.take(ctx, as, &waiting)
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return l, nil
}

// take locks the file. Who had it before has removed it when he gave it back: then there is nothing to have, and another file to
// lock.
func (l *ProjectLock) take(ctx context.Context, as Holder, waiting *func(Holder) error) error {
	f, err := l.dir.open(l.name)
	if err != nil {
		return err
	}
	if err := lockOrWait(ctx, f, waiting); err != nil {
		return err
	}
	there, err := l.dir.has(l.name, f)
	if err == nil && there {
		err = as.sign(f)
	}
	if err != nil || !there {
		return errors.Join(err, f.Close())
	}
	l.lock = &Lock{f}
	return nil
}

// lockOrWait locks the file, and closes it if there is an error. waiting is used once.
func lockOrWait(ctx context.Context, f *os.File, waiting *func(Holder) error) error {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EWOULDBLOCK):
		return errors.Join(fmt.Errorf("cannot lock %s: %w", f.Name(), err), f.Close())
	}
	if tell := *waiting; tell != nil {
		*waiting = nil
		if err := tell(readHolder(f)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return awaitLock(ctx, f)
}

// Release gives the lock back, and removes the file while nobody else can have locked it.
func (l *ProjectLock) Release() error {
	if l == nil {
		return nil
	}
	l.dir.remove(l.name)
	return errors.Join(l.lock.Release(), l.dir.close())
}
