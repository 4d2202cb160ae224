package syncing

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// file is an open file of the host.
type file interface {
	io.Closer
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// openFile opens a file, but not what a symbolic link leads to, and does not wait for who writes to a pipe.
func openFile(name string) (file, error) {
	return os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

// packed is what an archive has of the files that it was to have.
type packed struct {
	entries    int
	bytes      int64
	sources    []string         // of the files and links among the entries
	unsettled  []string         // sources that are not what the tree has seen; most are left out
	unreadable map[string]error // why, by source; they are left out
}

// written are the entries: every one but the folders has a source.
func (p *packed) written() session.Count {
	return session.Count{Files: len(p.sources), Folders: p.entries - len(p.sources)}
}

// packer writes files to a tar as the tree has seen them.
type packer struct {
	packed
	out       *tar.Writer
	open      func(name string) (file, error)
	impatient func(source string) bool
	buffer    []byte
}

// add writes one file. Errors are those of the archive.
func (p *packer) add(f *session.File) error {
	switch f.Entry.Kind {
	case tree.Dir:
		return p.entry(header(f, tar.TypeDir))
	case tree.Link:
		h := header(f, tar.TypeSymlink)
		h.Linkname = f.Entry.Link
		p.sources = append(p.sources, f.Source)
		return p.entry(h)
	}
	in, err := p.open(f.Source)
	if err != nil {
		p.missing(f, err)
		return nil
	}
	defer in.Close()
	return p.file(f, in)
}

// header is what an entry says of a file but for its size. Of directories and links the time means nothing.
func header(f *session.File, kind byte) *tar.Header {
	mode := modeOf(&f.Entry)
	h := &tar.Header{Typeflag: kind, Name: f.Target, Mode: int64(mode.Perm()), Format: tar.FormatPAX}
	for bit, is := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&is != 0 {
			h.Mode |= bit
		}
	}
	return h
}

func (p *packer) entry(h *tar.Header) error {
	p.entries++
	return p.out.WriteHeader(h)
}

// missing takes in that a file cannot be read: it is gone, or something else by now, or there is a reason to tell.
func (p *packer) missing(f *session.File, err error) {
	for _, other := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.ELOOP, syscall.ENXIO} {
		if errors.Is(err, other) {
			p.unsettled = append(p.unsettled, f.Source)
			return
		}
	}
	if cause, ok := errors.AsType[*fs.PathError](err); ok {
		err = cause.Err
	}
	if p.unreadable == nil {
		p.unreadable = make(map[string]error)
	}
	p.unreadable[f.Source] = fmt.Errorf("cannot read %s: %w", f.Source, err)
}

func (p *packer) file(f *session.File, in file) error {
	info, err := in.Stat()
	switch {
	case err != nil:
		p.missing(f, err)
	case !info.Mode().IsRegular():
		p.unsettled = append(p.unsettled, f.Source)
	case info.Size() > heldFile:
		return p.stream(f, in, info)
	default:
		return p.whole(f, in, info)
	}
	return nil
}

// readings is how often a file is read that others write to meanwhile.
const readings = 3

// whole writes a file that was read before, so that nothing is written of one that changes.
func (p *packer) whole(f *session.File, in file, info fs.FileInfo) error {
	for range readings {
		content := p.space(info.Size())
		if n, err := in.ReadAt(content, 0); err == io.EOF {
			content = content[:n]
		} else if err != nil {
			p.missing(f, err)
			return nil
		}
		after, err := in.Stat()
		if err != nil {
			p.missing(f, err)
			return nil
		}
		still := same(info, after) && int64(len(content)) == info.Size()
		switch {
		case fits(f, content, info, still):
			return p.content(f, info, content)
		case still && p.impatient(f.Source):
			p.unsettled = append(p.unsettled, f.Source)
			return p.content(f, info, content)
		case still || after.Size() > heldFile:
			p.unsettled = append(p.unsettled, f.Source)
			return nil
		}
		info = after
	}
	p.unsettled = append(p.unsettled, f.Source)
	return nil
}

// space is a buffer of that size, the same one for all files.
func (p *packer) space(size int64) []byte {
	if int64(cap(p.buffer)) < size {
		p.buffer = make([]byte, size)
	}
	return p.buffer[:size]
}

func (p *packer) content(f *session.File, info fs.FileInfo, content []byte) error {
	h := header(f, tar.TypeReg)
	h.Size, h.ModTime = int64(len(content)), info.ModTime()
	if err := p.entry(h); err != nil {
		return err
	}
	p.bytes += h.Size
	p.sources = append(p.sources, f.Source)
	_, err := p.out.Write(content)
	return err
}

// stream writes a file while it is read. If it changes meanwhile what is written is worth nothing, and is told as unsettled.
func (p *packer) stream(f *session.File, in file, info fs.FileInfo) error {
	if !seen(f, info) && !p.impatient(f.Source) {
		p.unsettled = append(p.unsettled, f.Source)
		return nil
	}
	h := header(f, tar.TypeReg)
	h.Size, h.ModTime = info.Size(), info.ModTime()
	if err := p.out.WriteHeader(h); err != nil {
		return err
	}
	content := &filled{from: io.NewSectionReader(in, 0, h.Size)}
	if _, err := io.CopyN(p.out, content, h.Size); err != nil {
		return err
	}
	after, err := in.Stat()
	switch {
	case content.err != nil && content.err != io.EOF:
		p.missing(f, content.err)
	case err != nil:
		p.missing(f, err)
	case content.err == io.EOF || !same(info, after) || !seen(f, info):
		p.unsettled = append(p.unsettled, f.Source)
	default:
		p.entries++
		p.bytes += h.Size
		p.sources = append(p.sources, f.Source)
	}
	return nil
}

// filled goes on with zeros where what it reads from ends or fails.
type filled struct {
	from io.Reader
	err  error // why it ended
}

func (r *filled) Read(b []byte) (int, error) {
	if r.err != nil {
		clear(b)
		return len(b), nil
	}
	n, err := r.from.Read(b)
	r.err = err
	return n, nil
}
