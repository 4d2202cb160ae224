package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Pack writes a tar of the file or the directory under its base name. A path that ends in "/." means what is in the
// directory, and one that ends in a slash what a link leads to.
func Pack(root *os.File, name string, out io.Writer) error {
	p, base, err := subject(root, name)
	if err != nil {
		return missing(name, err)
	}
	defer p.parent.Close()
	w := &packer{tar: tar.NewWriter(out), inodes: map[inode]string{}}
	if err := w.add(p, base); err != nil {
		return missing(name, err)
	}
	return w.tar.Close()
}

// subject finds what is to be packed, and under which name.
func subject(root *os.File, name string) (place, string, error) {
	base := path.Base(path.Clean("/" + name))
	contents := strings.HasSuffix(name, "/.")
	if !contents && !strings.HasSuffix(name, "/") {
		p, err := locate(root, name)
		return p, base, err
	}
	dir, err := open(root, name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if contents || base == "/" {
		base = "."
	}
	return place{dir, "."}, base, err
}

type inode struct{ dev, ino uint64 }

type packer struct {
	tar    *tar.Writer
	inodes map[inode]string // files with several names, with the first of them
}

func (w *packer) add(p place, name string) error {
	info, link, err := p.stat()
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket != 0 {
		return nil // has no form in a tar
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name, header.Format = name, tar.FormatPAX
	// Names of the host's users mean nothing in the container.
	header.Uname, header.Gname = "", ""
	if info.IsDir() {
		header.Name += "/"
	}
	if w.known(info, header) {
		return w.tar.WriteHeader(header)
	}
	switch {
	case info.IsDir():
		return w.addDir(p, name, header)
	case info.Mode().IsRegular():
		return w.addFile(p, header)
	default:
		return w.tar.WriteHeader(header)
	}
}

// known turns the further names of a file into links to the first.
func (w *packer) known(info os.FileInfo, header *tar.Header) bool {
	stat, ok := info.Sys().(*unixStat)
	if !ok || !info.Mode().IsRegular() || stat.Nlink < 2 {
		return false
	}
	key := inode{uint64(stat.Dev), stat.Ino}
	first, seen := w.inodes[key]
	if !seen {
		w.inodes[key] = header.Name
		return false
	}
	header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
	return true
}

func (w *packer) addFile(p place, header *tar.Header) error {
	file, err := openRegular(p, unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	addXattrs(file, header)
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	// A file that grows meanwhile is cut where it ended; one that shrinks is filled up, or the archive would break.
	n, err := io.CopyN(w.tar, file, header.Size)
	if err == io.EOF {
		_, err = io.CopyN(w.tar, zeros{}, header.Size-n)
	}
	return err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (w *packer) addDir(p place, name string, header *tar.Header) error {
	dir, err := openChild(p, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer dir.Close()
	addXattrs(dir, header)
	if err := w.tar.WriteHeader(header); err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, child := range names {
		err := w.add(place{dir, child}, path.Join(name, child))
		if err != nil && !os.IsNotExist(err) { // it was removed meanwhile
			return err
		}
	}
	return nil
}

// openChild opens a file that is not a symbolic link.
func openChild(p place, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(p.parent.Fd()), p.name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p.name, Err: err}
	}
	return os.NewFile(uintptr(fd), p.name), nil
}

// errIrregular is what is no regular file.
var errIrregular = errors.New("it is not a regular file")

// openRegular opens a regular file that is at the place, and nothing else (errIrregular).
func openRegular(p place, flags int) (*os.File, error) {
	found, err := openChild(p, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	return reopen(found, flags)
}

// reopen opens a regular file that was found with O_PATH. Already the opening of a device, a watchdog for example, may do
// something, and what devices a container may open does not bind the engine, so that it must not be tried.
func reopen(found *os.File, flags int) (*os.File, error) {
	info, err := found.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errIrregular
	}
	// Not to wait is for files that somebody has a lease on.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", found.Fd()), flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: found.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), found.Name()), nil
}

// capabilityXattr is what makes a program run with capabilities; without it a copied ping does not ping.
const capabilityXattr = "security.capability"

func addXattrs(file *os.File, header *tar.Header) {
	value := make([]byte, 64)
	if n, err := unix.Fgetxattr(int(file.Fd()), capabilityXattr, value); err == nil && n > 0 {
		header.PAXRecords = map[string]string{"SCHILY.xattr." + capabilityXattr: string(value[:n])}
	}
}
