package reader

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// openTries bounds how often a set of files is opened again because a rotation came in between.
const openTries = 20

// file is one file of a log. Its number is the suffix of its name when it was opened, 0 for the current file.
type file struct {
	*os.File
	number int
	size   int64
}

// openAll opens all files of the log, oldest first, as they stand at one moment. A log that is not there has none.
func openAll(path string) ([]file, error) {
	for try := 0; ; try++ {
		files, stable, err := openOnce(path)
		if err == nil && (stable || try == openTries) {
			return files, nil
		}
		closeAll(files)
		if err != nil {
			return nil, err
		}
	}
}

// openOnce opens the files that are there and says whether they still had the same names afterwards.
func openOnce(path string) (files []file, stable bool, err error) {
	numbers, err := listNumbers(path)
	if err != nil {
		return nil, false, err
	}
	for _, n := range slices.Backward(numbers) {
		f, err := openNumber(path, n)
		if errors.Is(err, fs.ErrNotExist) {
			return files, false, nil
		}
		if err != nil {
			return files, false, err
		}
		files = append(files, f)
	}
	for i := range files {
		f := &files[i]
		if !f.isAt(name(path, f.number)) {
			return files, false, nil
		}
	}
	after, err := listNumbers(path)
	// A listing can miss a file that is renamed meanwhile, so a gap is looked at again.
	gap := len(numbers) > 0 && numbers[len(numbers)-1] != len(numbers)-1
	return files, !gap && slices.Equal(numbers, after), err
}

// listNumbers returns the numbers of the log's files, in order.
func listNumbers(path string) ([]int, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var numbers []int
	base := filepath.Base(path)
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), base)
		if !ok {
			continue
		}
		if suffix == "" {
			numbers = append(numbers, 0)
		} else if n, err := strconv.Atoi(strings.TrimPrefix(suffix, ".")); err == nil && n > 0 && suffix == "."+strconv.Itoa(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// openNumber opens one file. Only regular files are read, and never through a symbolic link.
func openNumber(path string, n int) (file, error) {
	f, err := os.OpenFile(name(path, n), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return file{}, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: f.Name(), Err: errors.New("not a regular file")}
	}
	if err != nil {
		return file{}, errors.Join(err, f.Close())
	}
	return file{File: f, number: n, size: st.Size()}, nil
}

// isAt says whether the file of that name is this one.
func (f *file) isAt(name string) bool {
	here, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(here, there)
}

// successor opens the file that was begun after f, and is false if f is the last. The writer renames older files
// before younger ones: a file only moves to higher numbers, and as long as it has kept its own, the next lower number
// is its successor or, for a moment, free.
func (f *file) successor(path string) (file, bool, error) {
	for try := 0; try < openTries; try++ {
		at, err := f.locate(path)
		if err != nil || at == 0 {
			return file{}, false, err
		}
		below := at - 1
		if try > openTries/2 { // the gap stays: somebody has deleted a file
			below = nextBelow(path, at)
		}
		next, err := openNumber(path, max(below, 0))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return file{}, false, err
		}
		if f.removed() || f.isAt(name(path, at)) {
			return next, true, nil
		}
		if err := next.Close(); err != nil {
			return file{}, false, err
		}
	}
	return file{}, false, nil // the new file is still being made: the event that it is there will come
}

// locate returns f's present number, or one above all others if f was removed: then what is oldest is next.
func (f *file) locate(path string) (int, error) {
	for try := 0; ; try++ {
		if f.isAt(name(path, f.number)) {
			return f.number, nil
		}
		numbers, err := listNumbers(path)
		if err != nil || len(numbers) == 0 {
			return 0, err
		}
		end := numbers[len(numbers)-1] + 1
		if f.removed() || try == openTries {
			return end, nil
		}
		for n := f.number; n <= end; n++ { // upwards, as it moves
			if f.isAt(name(path, n)) {
				f.number = n
				return n, nil
			}
		}
	}
}

// nextBelow returns the highest number below n that there is, 0 if there is none.
func nextBelow(path string, n int) int {
	for n--; n > 0; n-- {
		if _, err := os.Lstat(name(path, n)); err == nil {
			break
		}
	}
	return n
}

// removed says whether f was deleted.
func (f *file) removed() bool {
	st, err := f.Stat()
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Nlink == 0
}

func closeAll(files []file) {
	for _, f := range files {
		_ = f.Close() // read only: nothing can be lost
	}
}

func name(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}
