package engine

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types"
)

// Syncs makes files of a container like files elsewhere, many at once. The container may run or not. Paths are absolute in the
// container and resolved inside its root: symbolic links on the way are followed as the container would, the last one is
// not.
type Syncs interface {
	// CompareFiles returns the indexes of those files that the container does not have as described, ascending.
	CompareFiles(ctx context.Context, ref string, files []FileState) ([]int, error)

	// SyncFiles removes files and unpacks a plain tar, in this order. The names in the tar are absolute, with or without a
	// leading slash; it has regular files, directories and symbolic links only (see SyncTarget). Directories that are
	// missing on the way are made, for everybody to read. What is written belongs to the container's user, if it has one,
	// else to whom the tar says.
	//
	// A file or a link takes the place of what was there in one step where the engine can do that (EngineSyncs), so that
	// readers see the old content or the new one. A directory stays for a directory and gets its permissions; anything
	// else gives way, a directory with all that is in it. Mount points never give way: a file that is one is written in
	// place. The times of directories and links mean nothing.
	//
	// What cannot be done is told when the rest is done (see SyncFailure), except that a tar that is refused ends the call, and
	// that an engine which does not sync by itself may end at the first entry that it cannot write.
	// ErrForbidden: a file system is read-only. ErrConflict: something is mounted there, or will be when the container runs; or
	// the container ended or was removed meanwhile, and nobody knows what it has of the files. A context that is done ends the
	// call between two files.
	SyncFiles(ctx context.Context, ref string, content io.Reader, opts SyncOptions) error
}

// FileState describes a file of a container.
type FileState struct {
	Path    string
	Mode    fs.FileMode // type and permissions: a regular file, a directory, or a symbolic link (whose permissions do not count)
	Size    int64       // of a regular file
	ModTime time.Time   // of a regular file: one of the same size and time counts as the same, to the second
	Digest  []byte      // of a regular file: the beginning of the SHA-256 of its content, which decides if only the time differs; empty: it is another one then
	Link    string      // of a symbolic link: where it leads
}

// syncedBits are the bits of a mode that count: the type, the permissions, and what makes a program run as somebody else.
const syncedBits = fs.ModeType | fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// SameMode reports whether a file of the mode is one of the kind and with the permissions described.
func (f *FileState) SameMode(mode fs.FileMode) bool {
	if f.Mode&fs.ModeSymlink != 0 {
		return mode&fs.ModeSymlink != 0
	}
	return mode&syncedBits == f.Mode&syncedBits
}

// SyncOptions belong to SyncFiles.
type SyncOptions struct {
	// Remove names what is removed before the tar is unpacked: first files and symbolic links, then, in this order,
	// directories that are empty by then. What is not there is no error, neither is a directory that is not empty or a
	// mount point.
	Remove []string `json:"remove,omitempty"`
}

// EngineSyncs reports whether the engine of that version syncs by itself. Others do so with the calls that they have: an exec of
// rm and rmdir, for which the container must run and have these commands (ErrConflict, ErrUnsupported), and archives.
func EngineSyncs(v types.Version) bool { return does(v, syncDetail) }

// SyncTarget returns the path in the container of an entry of a tar for SyncFiles. ErrInvalid: the tar must be refused, since the
// entry is no regular file, directory or symbolic link, or its name leads through "..".
func SyncTarget(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir, tar.TypeSymlink:
		return SyncPath(h.Name)
	}
	return "", Errorf(ErrInvalid, "cannot sync %q: it is neither a file nor a directory nor a symbolic link (type %q)", h.Name, h.Typeflag)
}

// SyncPath makes a path of a container absolute and clean. ErrInvalid: it leads through "..", or it has a zero byte.
func SyncPath(name string) (string, error) {
	if slices.Contains(strings.Split(name, "/"), "..") || strings.IndexByte(name, 0) >= 0 {
		return "", Errorf(ErrInvalid, "cannot sync %q: the path is not a plain one", name)
	}
	return path.Clean("/" + name), nil
}

// everywhereMounted is where every container has something mounted.
var everywhereMounted = []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev", "/proc", "/sys"}

// FixedPaths are the paths, clean, at or below which something is mounted: at the given ones, or in every container.
func FixedPaths(mounts []string) map[string]bool {
	fixed := map[string]bool{}
	for _, at := range slices.Concat(everywhereMounted, mounts) {
		for at = path.Clean("/" + at); at != "/"; at = path.Dir(at) {
			fixed[at] = true
		}
	}
	return fixed
}

// toldFailures is how many of the errors of a sync are told one by one.
const toldFailures = 10

// SyncFailure makes one error of what could not be done, of the kind of the first. It is nil if there is nothing.
func SyncFailure(failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	var texts []string
	for _, err := range failures[:min(len(failures), toldFailures)] {
		texts = append(texts, err.Error())
	}
	if more := len(failures) - toldFailures; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return &Error{Kind: failures[0], Text: strings.Join(texts, "; ")}
}
