package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Lock is an exclusive lock on a file. The kernel takes it back when its holder ends, however that happens.
type Lock struct{ file *os.File }

// errHeld is what tryLock returns when another process has the lock.
var errHeld = errors.New("the lock is held")

// Acquire takes the lock on the file path, which it makes if need be. If another process has it, waiting is called
// once with that process's ID (0 if unknown) and Acquire waits until the lock is free or the context is done.
func Acquire(ctx context.Context, path string, waiting func(pid int)) (*Lock, error) {
	l, holder, err := tryLock(path)
	if !errors.Is(err, errHeld) {
		return l, err
	}
	if waiting != nil {
		waiting(holder)
	}
	return waitLock(ctx, path)
}

// tryLock takes the lock or returns errHeld and the holder's process ID.
func tryLock(path string) (*Lock, int, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot open the lock: %w", err)
	}
	err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid := holder(f)
		return nil, pid, errors.Join(errHeld, f.Close())
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("cannot lock %s: %w", path, err), f.Close())
	}
	return &Lock{f}, 0, sign(f)
}

// waitLock waits until the lock is free or the context is done.
func waitLock(ctx context.Context, path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock: %w", err)
	}
	if err := awaitLock(ctx, f); err != nil {
		return nil, err
	}
	return &Lock{f}, sign(f)
}

// awaitLock blocks in the kernel on a thread of its own. When the context is done first, that thread gives the lock back as
// soon as it gets it. The file is closed if there is an error.
func awaitLock(ctx context.Context, f *os.File) error {
	got := make(chan error, 1)
	go func() { got <- flock(f, unix.LOCK_EX) }()
	select {
	case err := <-got:
		if err != nil {
			return errors.Join(fmt.Errorf("cannot lock %s: %w", f.Name(), err), f.Close())
		}
		return nil
	case <-ctx.Done():
		go func() {
			<-got
			_ = f.Close()
		}()
		return context.Cause(ctx)
	}
}

// flock calls flock(2) again when a signal interrupts it.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// sign leaves the process's ID in the file, for those who wait.
func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return fmt.Errorf("cannot write the lock: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("cannot write the lock: %w", err)
	}
	return nil
}

func holder(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// Release gives the lock back. The file stays, so that nobody locks a file that another one has just removed.
func (l *Lock) Release() error {
	if l == nil {
		return nil
	}
	return l.file.Close()
}
