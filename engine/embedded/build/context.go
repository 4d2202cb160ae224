package build

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"

	"stackrun.dev/stack/engine"
)

// inMemory is how many bytes of a build context stay in memory; what is beyond goes to a file.
const inMemory = 1 << 20

// capabilities is the only extended attribute that a build context may set, as in Docker.
const capabilities = "security.capability"

// contextFiles is a build context that was read from a tar: an index of its entries and the bytes of its files, one
// after the other. Nothing is unpacked, so no entry can reach the host's files; BuildKit takes what it wants.
type contextFiles struct {
	root *contextFile
	data io.ReaderAt
	file *os.File // where the data is, if it is not in memory
}

var _ fsutil.FS = (*contextFiles)(nil)

type contextFile struct {
	stat     *types.Stat
	offset   int64
	children map[string]*contextFile // of a directory
}

func (f *contextFile) isDir() bool { return fs.FileMode(f.stat.Mode).IsDir() }

func emptyContext() *contextFiles {
	return &contextFiles{root: newDir(""), data: bytes.NewReader(nil)}
}

func newDir(name string) *contextFile {
	return &contextFile{
		stat:     &types.Stat{Path: name, Mode: uint32(fs.ModeDir | 0o755)},
		children: map[string]*contextFile{},
	}
}

// readContext reads a plain tar. Large contexts need a temporary file in dir.
func readContext(in io.Reader, dir string) (*contextFiles, error) {
	c := emptyContext()
	spool := &spool{dir: dir}
	if err := c.read(in, spool); err != nil {
		spool.close()
		return nil, err
	}
	c.data, c.file = spool.reader(), spool.file
	return c, nil
}

func (c *contextFiles) close() {
	if c.file != nil {
		c.file.Close()
	}
}

func (c *contextFiles) read(in io.Reader, out *spool) error {
	tr := tar.NewReader(in)
	for {
		hdr, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot read the build context: %w", err)
		}
		name := strings.TrimPrefix(path.Clean("/"+hdr.Name), "/")
		if name == "" {
			continue
		}
		f, err := c.entry(hdr, name)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if hdr.Typeflag == tar.TypeReg {
			f.offset = out.size
			sum := sha256.New()
			if _, err := io.Copy(io.MultiWriter(out, sum), tr); err != nil {
				return engine.Errorf(engine.ErrInvalid, "cannot read the build context: %s: %w", name, err)
			}
			f.mark(sum.Sum(nil))
		}
		if err := c.add(name, f); err != nil {
			return err
		}
	}
}

// entry makes a file of a header, nil for what a build context cannot have.
func (c *contextFiles) entry(hdr *tar.Header, name string) (*contextFile, error) {
	// The owner on the client's machine means nothing here: files of a build context belong to root.
	f := &contextFile{stat: &types.Stat{Path: name, Mode: uint32(hdr.FileInfo().Mode()), ModTime: hdr.ModTime.UnixNano()}}
	switch hdr.Typeflag {
	case tar.TypeReg:
		f.stat.Size = hdr.Size
	case tar.TypeDir:
		f.children = map[string]*contextFile{}
	case tar.TypeSymlink:
		f.stat.Linkname = hdr.Linkname
		f.stat.Size = int64(len(hdr.Linkname))
	case tar.TypeLink:
		target := c.lookup(hdr.Linkname)
		if target == nil || target.isDir() {
			return nil, engine.Errorf(engine.ErrInvalid, "cannot read the build context: %s is a link to %s, which is not there", name, hdr.Linkname)
		}
		twin := &contextFile{stat: target.stat.Clone(), offset: target.offset}
		twin.stat.Path = name
		return twin, nil
	default:
		return nil, nil // devices, sockets and pipes
	}
	if caps, ok := hdr.PAXRecords["SCHILY.xattr."+capabilities]; ok {
		f.stat.Xattrs = map[string][]byte{capabilities: []byte(caps)}
	}
	return f, nil
}

// mark puts a trace of the content into the fraction of the time stamp's second. BuildKit asks only for files whose size
// or time have changed since the last build; a client may send the same time for another content. Layers have whole
// seconds, so the image does not depend on it.
func (f *contextFile) mark(sum []byte) {
	const second = int64(time.Second)
	whole := f.stat.ModTime - (f.stat.ModTime%second+second)%second
	f.stat.ModTime = whole + int64(binary.BigEndian.Uint64(sum)%uint64(second))
}

// add puts the file in its place, making directories that the tar does not mention. What comes later wins.
func (c *contextFiles) add(name string, f *contextFile) error {
	dir := c.root
	parent, base := path.Split(name)
	for part := range strings.SplitSeq(strings.Trim(parent, "/"), "/") {
		if part == "" {
			continue
		}
		next := dir.children[part]
		if next == nil {
			next = newDir(path.Join(dir.stat.Path, part))
			dir.children[part] = next
		}
		if !next.isDir() {
			return engine.Errorf(engine.ErrInvalid, "cannot read the build context: %s lies below %s, which is not a directory", name, next.stat.Path)
		}
		dir = next
	}
	if old := dir.children[base]; old != nil && old.isDir() && f.isDir() {
		f.children = old.children
	}
	dir.children[base] = f
	return nil
}

func (c *contextFiles) lookup(name string) *contextFile {
	f := c.root
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		if f == nil || part == "" {
			return f
		}
		f = f.children[part]
	}
	return f
}

// Walk implements fsutil.FS: the entries below target in the order of their names.
func (c *contextFiles) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	start := c.lookup(target)
	if start == nil {
		return nil
	}
	err := walk(ctx, start, start != c.root, fn)
	if err == fs.SkipAll {
		return nil
	}
	return err
}

func walk(ctx context.Context, f *contextFile, visit bool, fn fs.WalkDirFunc) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if visit {
		stat := f.stat.Clone()
		err := fn(f.stat.Path, &fsutil.DirEntryInfo{Stat: stat}, nil)
		if err == fs.SkipDir && f.isDir() {
			return nil
		}
		if err != nil {
			return err
		}
	}
	names := make([]string, 0, len(f.children))
	for name := range f.children {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		child := f.children[name]
		err := walk(ctx, child, true, fn)
		if err == fs.SkipDir && !child.isDir() { // the rest of this directory
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Open implements fsutil.FS.
func (c *contextFiles) Open(name string) (io.ReadCloser, error) {
	f := c.lookup(name)
	if f == nil || f.isDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(io.NewSectionReader(c.data, f.offset, f.stat.Size)), nil
}

// spool keeps bytes in memory and, when they are many, in a file that has no name.
type spool struct {
	dir  string
	size int64
	mem  bytes.Buffer
	file *os.File
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.size+int64(len(p)) > inMemory {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	var n int
	var err error
	if s.file != nil {
		n, err = s.file.Write(p)
	} else {
		n, err = s.mem.Write(p)
	}
	s.size += int64(n)
	return n, err
}

func (s *spool) spill() error {
	file, err := os.CreateTemp(s.dir, "context-")
	if err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return err
	}
	s.file = file
	_, err = s.mem.WriteTo(file)
	s.mem = bytes.Buffer{}
	return err
}

func (s *spool) reader() io.ReaderAt {
	if s.file != nil {
		return s.file
	}
	return bytes.NewReader(s.mem.Bytes())
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}
