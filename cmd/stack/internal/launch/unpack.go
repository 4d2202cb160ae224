package launch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Unpack writes a program below the state root, which only its owner may enter, unless it is there already, and returns
// its path. The digest of the content names it. Programs of other versions are removed; an engine that still runs from
// one keeps it until it ends.
func Unpack(t Target, content, digest string) (string, error) {
	dir := filepath.Join(t.Root, "program")
	path := filepath.Join(dir, "stack-engine-"+digest)
	if info, err := os.Stat(path); err == nil && info.Size() == int64(len(content)) {
		return path, nil
	}
	if err := errors.Join(t.makeDirs(), os.MkdirAll(dir, 0o700)); err != nil {
		return "", fmt.Errorf("cannot unpack the engine: %w", err)
	}
	if err := writeProgram(dir, path, content); err != nil {
		return "", fmt.Errorf("cannot unpack the engine: %w", err)
	}
	return path, removeOthers(dir, path)
}

// writeProgram puts the whole file in place at once: nobody finds half of it, not after a crash either.
func writeProgram(dir, path, content string) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Chmod(0o700))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func removeOthers(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if other := filepath.Join(dir, e.Name()); other != keep {
			if err := os.Remove(other); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("cannot remove an older engine: %w", err)
			}
		}
	}
	return nil
}
