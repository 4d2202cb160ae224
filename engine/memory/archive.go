package memory

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"stackrun.dev/stack/engine"
)

// decompressed reads a plain or gzipped archive.
func decompressed(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return gzip.NewReader(in)
	}
	return in, nil
}

// eachEntry calls the function for every entry of an archive. A broken archive is of kind ErrInvalid.
func eachEntry(r io.Reader, use func(h *tar.Header, content []byte) error) error {
	plain, err := decompressed(r)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
	}
	in := tar.NewReader(plain)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot read the archive: %w", err)
		}
		content, err := io.ReadAll(in)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot read %s in the archive: %w", h.Name, err)
		}
		if err := use(h, content); err != nil {
			return err
		}
	}
}

// fromHeader makes a file of an archive's entry; false for devices and the like.
func fromHeader(h *tar.Header, content []byte) (node, bool) {
	n := node{mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid, modified: h.ModTime}
	switch h.Typeflag {
	case tar.TypeDir:
	case tar.TypeSymlink:
		n.link = h.Linkname
	case tar.TypeReg:
		n.data = content
	default:
		return node{}, false
	}
	return n, true
}

func header(name string, n node) *tar.Header {
	h := &tar.Header{Name: name, Mode: int64(n.mode.Perm()), Uid: n.uid, Gid: n.gid, ModTime: n.modified, Format: tar.FormatPAX}
	switch {
	case n.mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, name+"/"
	case n.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, n.link
	default:
		h.Typeflag, h.Size = tar.TypeReg, int64(len(n.data))
	}
	return h
}

// unpack unpacks an archive in a directory of a container. Names cannot lead out of the root: they are resolved in it.
func (v *vfs) unpack(dir string, r io.Reader) error {
	return eachEntry(r, func(h *tar.Header, content []byte) error {
		n, ok := fromHeader(h, content)
		if !ok {
			return nil
		}
		name := path.Join(dir, path.Clean("/"+h.Name))
		if err := v.mkdirAll(path.Dir(name)); err != nil {
			return err
		}
		if old, _, err := v.stat(name); err == nil && old.mode.IsDir() && n.mode.IsDir() {
			return nil
		}
		return v.put(name, n)
	})
}

// pack writes the file or the directory under its base name.
func (v *vfs) pack(name string, out *tar.Writer) error {
	n, resolved, err := v.statLink(name, false)
	if err != nil {
		return err
	}
	base := path.Base(path.Clean("/" + name))
	return v.packAs(strings.TrimPrefix(base, "/"), resolved, n, out)
}

func (v *vfs) packAs(as, resolved string, n node, out *tar.Writer) error {
	if err := out.WriteHeader(header(as, n)); err != nil {
		return err
	}
	if n.mode.IsRegular() {
		_, err := out.Write(n.data)
		return err
	}
	if !n.mode.IsDir() {
		return nil
	}
	names, err := v.children(resolved)
	if err != nil {
		return err
	}
	for _, name := range names {
		child := path.Join(resolved, name)
		if n, ok := v.lookup(child); ok {
			if err := v.packAs(path.Join(as, name), child, n, out); err != nil {
				return err
			}
		}
	}
	return nil
}
