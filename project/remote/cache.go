package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// unfinished is how the names of folders begin that are being filled.
const unfinished = ".new-"

// cache is a folder of what was fetched, each under the commit or digest that says what it holds.
type cache struct{ dir string }

// find returns the folder of the key, if it is there.
func (c cache) find(key string) (string, bool) {
	path := filepath.Join(c.dir, key)
	info, err := os.Lstat(path)
	return path, err == nil && info.IsDir()
}

// add returns the folder of the key and has it filled first if it is not there. Two processes may do that at once, one
// folder stays; of a process that ends in between, nothing does.
func (c cache) add(key string, fill func(dir string) error) (string, error) {
	if path, ok := c.find(key); ok {
		return path, nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return "", fmt.Errorf("cannot make the cache: %w", err)
	}
	c.sweep()
	temp, lock, err := c.begin()
	if err != nil {
		return "", fmt.Errorf("cannot use the cache: %w", err)
	}
	defer lock.Close()       //nolint:errcheck // a directory
	defer os.RemoveAll(temp) //nolint:errcheck // the next one sweeps
	inside := filepath.Join(temp, "root")
	if err := os.Mkdir(inside, 0o700); err != nil {
		return "", err
	}
	if err := fill(inside); err != nil {
		return "", err
	}
	// Without this, the name may outlast a power failure and the content not.
	if err := unix.Syncfs(int(lock.Fd())); err != nil {
		return "", fmt.Errorf("cannot store what was fetched: %w", err)
	}
	path := filepath.Join(c.dir, key)
	err = os.Rename(inside, path)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		return path, nil // another process was faster
	}
	return path, err
}

// begin makes a folder to fill and locks it.
func (c cache) begin() (string, *os.File, error) {
	for {
		temp, err := os.MkdirTemp(c.dir, unfinished)
		if err != nil {
			return "", nil, err
		}
		lock, err := lockFolder(temp)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EWOULDBLOCK) {
			continue // swept before it was locked
		}
		if err != nil {
			return "", nil, err
		}
		if _, err := os.Lstat(temp); err == nil {
			return temp, lock, nil
		}
		lock.Close() //nolint:errcheck // a directory
	}
}

// sweep removes what processes left that were killed: folders which nobody has locked.
func (c cache) sweep() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		path := filepath.Join(c.dir, e.Name())
		if lock, err := lockFolder(path); err == nil {
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}

func lockFolder(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
