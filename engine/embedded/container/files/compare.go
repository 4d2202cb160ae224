package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

const (
	// betweenChecks is after how many files it is looked whether the caller still waits.
	betweenChecks = 64

	// comparers is how many files are compared at once, comparedTogether how many one after the other: neighbours are in the
	// same directory.
	comparers        = 4
	comparedTogether = 1024
)

// Compare returns the indexes of the files that are not as described. roots is called by several goroutines.
func Compare(ctx context.Context, root *os.File, files []engine.FileState) ([]int, error) {
	other := make([]bool, len(files))
	var next atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	for range min(comparers, runtime.GOMAXPROCS(0), 1+len(files)/comparedTogether) {
		work.Go(func() error {
			dirs := newParents(root, anywhere)
			defer dirs.forget()
			for {
				end := int(next.Add(comparedTogether))
				from := min(end-comparedTogether, len(files))
				end = min(end, len(files))
				if from == end {
					return nil
				}
				if err := compareSome(ctx, dirs, files[from:end], other[from:end]); err != nil {
					return err
				}
			}
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	differ := []int{}
	for i, other := range other {
		if other {
			differ = append(differ, i)
		}
	}
	return differ, nil
}

func compareSome(ctx context.Context, dirs *parents, files []engine.FileState, other []bool) error {
	for i := range files {
		if i%betweenChecks == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		same, err := compare(ctx, dirs, &files[i])
		if err != nil {
			return err
		}
		other[i] = !same
	}
	return nil
}

// compare reports whether there is such a file. The error is the context's, or that the container has no root any more.
func compare(ctx context.Context, dirs *parents, want *engine.FileState) (bool, error) {
	name := path.Clean("/" + want.Path)
	p, err := dirs.of(name)
	if err != nil {
		return false, unlessAbsent(err)
	}
	if name == "/" {
		p.name = "."
	}
	var stat unix.Stat_t
	if err := unix.Fstatat(int(p.parent.Fd()), p.name, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, unlessAbsent(err)
	}
	mode := fileMode(stat.Mode)
	switch {
	case !want.SameMode(mode):
		return false, nil
	case mode.IsDir():
		return true, nil
	case mode&fs.ModeSymlink != 0:
		link, err := linkOf(p)
		return err == nil && link == want.Link, nil
	case !mode.IsRegular() || stat.Size != want.Size:
		return false, nil
	case stat.Mtim.Sec == want.ModTime.Unix():
		return true, nil
	case len(want.Digest) == 0:
		return false, nil
	}
	return digests(ctx, p, want)
}

// unlessAbsent hides the errors that say that a file is not there.
func unlessAbsent(err error) error {
	for _, absent := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG, unix.EACCES} {
		if errors.Is(err, absent) {
			return nil
		}
	}
	return err
}

func linkOf(p place) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(p.parent.Fd()), p.name, buf)
	return string(buf[:max(n, 0)]), err
}

// digests compares the content. What is no regular file any more, or cannot be read, is another one.
func digests(ctx context.Context, p place, want *engine.FileState) (bool, error) {
	file, err := openRegular(p, unix.O_RDONLY)
	if err != nil {
		return false, nil
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, readWhile{ctx, io.LimitReader(file, want.Size+1)}); err != nil {
		return false, ctx.Err()
	}
	return bytes.HasPrefix(hash.Sum(nil), want.Digest), nil
}

// readWhile reads as long as the caller waits.
type readWhile struct {
	ctx  context.Context
	from io.Reader
}

func (r readWhile) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

// fileMode is a mode of the kernel as Go has it.
func fileMode(mode uint32) fs.FileMode {
	out := fs.FileMode(mode & 0o777)
	for bit, means := range map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky} {
		if mode&bit != 0 {
			out |= means
		}
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		out |= fs.ModeDir
	case unix.S_IFLNK:
		out |= fs.ModeSymlink
	default:
		out |= fs.ModeIrregular
	}
	return out
}
