package volume

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// CopyUp fills an empty volume with what the image has at path: files with their owners, modes, times, extended
// attributes and hard links, and the owner and mode of the directory itself. lowers are the image's overlay
// directories, uppermost first. Symbolic links in path are followed inside the image only. A volume that has anything
// in it is left alone; of several callers at once, one fills it and the others wait. A filling that was interrupted
// is begun again.
func (m *Manager) CopyUp(name string, lowers []string, path string) error {
	return m.with(name, func(e *entry) error {
		dir, err := m.prepare(e.rec)
		if err != nil {
			return err
		}
		mark := filepath.Join(m.root, name, fillingFile)
		if dir != m.dir(name) {
			mark = "" // a directory of the user's: nothing is ever deleted there
		}
		if err := fill(dir, mark, lowers, path); err != nil {
			return fmt.Errorf("cannot fill volume %s from %s of the image: %w", name, path, err)
		}
		return nil
	})
}

// fill copies the image's directory into an empty one. The file mark is there meanwhile; without it, what a failure
// leaves is not deleted.
func fill(dir, mark string, lowers []string, path string) error {
	dst, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer dst.Close()
	empty, err := emptyOrUnfinished(dst, mark)
	if err != nil || !empty {
		return err
	}
	root, err := openLayers(lowers)
	if err != nil {
		return err
	}
	defer root.close()
	src, err := root.resolve(path)
	if err != nil || src == nil {
		return err
	}
	defer src.close()
	c := copier{root: dst, linked: map[inode]string{}}
	if mark == "" {
		return c.directory(dst, src, "")
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return err
	}
	if err := c.directory(dst, src, ""); err != nil {
		if failed := clearDir(dst); failed != nil {
			return errors.Join(err, failed) // the mark stays: the next caller tries again
		}
		return errors.Join(err, os.Remove(mark))
	}
	return os.Remove(mark)
}

// emptyOrUnfinished says whether the volume is to be filled, and empties it if an earlier filling was interrupted.
func emptyOrUnfinished(dst *os.File, mark string) (bool, error) {
	if _, err := os.Lstat(mark); mark != "" && err == nil {
		return true, clearDir(dst)
	}
	_, err := dst.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// clearDir deletes what is in the directory, from its beginning.
func clearDir(dir *os.File) error {
	if _, err := dir.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return removeChildren(dir)
}

// inode names a file of a layer.
type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{uint64(st.Dev), st.Ino} }
