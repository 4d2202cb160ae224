package engine

import (
	"context"
	"io"
	"io/fs"
	"time"

	"github.com/docker/docker/api/types"
)

// Syncs makes files of a container like files elsewhere, many at once. The container may run or not. Paths are absolute in the
// container and resolved inside its root.
type Syncs interface {
	// CompareFiles returns the indexes of those files that the container does not have as described, ascending.
	CompareFiles(ctx context.Context, ref string, files []FileState) ([]int, error)

	// SyncFiles removes files and unpacks a plain tar, in this order. The names in the tar are absolute, with or without a
	// leading slash; it has regular files, directories and symbolic links only. Directories that are missing on the way
	// are made. A file takes the place of what was there in one step where the engine can do that (EngineSyncs), so
	// that readers see the old content or the new one; a directory stays for a directory; anything else gives way, a
	// directory with all that is in it. What is written belongs to the container's user, if it has one, else to whom
	// the tar says.
	//
	// What cannot be done is told when the rest is done.
	SyncFiles(ctx context.Context, ref string, content io.Reader, opts SyncOptions) error
}

// FileState describes a file of a container.
type FileState struct {
	Path    string      `json:"path"`
	Mode    fs.FileMode `json:"mode"`             // type and permissions: a regular file, a directory, or a symbolic link (whose permissions do not count)
	Size    int64       `json:"size,omitempty"`   // of a regular file
	ModTime time.Time   `json:"mtime"`            // of a regular file: one of the same size and time counts as the same, to the second
	Digest  []byte      `json:"digest,omitempty"` // of a regular file: the beginning of the SHA-256 of its content, which decides if only the time differs; empty: it is another one then
	Link    string      `json:"link,omitempty"`   // of a symbolic link: where it leads
}

// SyncOptions belong to SyncFiles.
type SyncOptions struct {
	// Remove names what is removed before the tar is unpacked, in this order: files and symbolic links, and directories that
	// are empty by then. What is not there is no error, neither is a directory that is not empty.
	Remove []string
}

// syncDetail is what Version tells about syncing.
const syncDetail = "sync"

// EngineSyncs reports whether the engine of that version syncs by itself. Others do so with the calls that they have: an exec of
// rm, an archive of what is there.
func EngineSyncs(v types.Version) bool {
	for _, c := range v.Components {
		if c.Name == handoverComponent && c.Details[syncDetail] == "true" {
			return true
		}
	}
	return false
}
