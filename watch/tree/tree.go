// Package tree knows the files below some directories as they were last seen, and tells what has changed: not that something
// was written, but that the content, the permissions, the kind or the target of a link is another one than before.
package tree

import (
	"io/fs"
	"time"
)

// Kind is what a path is. What is neither file, directory nor symbolic link (sockets, devices, pipes) counts as not there.
type Kind uint8

// The kinds.
const (
	None Kind = iota // it is not there
	File
	Dir
	Link
)

// Digest is the first half of the SHA-256 of a file's content. The zero value: it is not known yet.
type Digest [16]byte

// Entry is what was seen at a path. The zero value: nothing is there.
type Entry struct {
	Kind    Kind
	Mode    fs.FileMode // permissions with set-ID and sticky bits
	Size    int64       // of a file, in bytes
	ModTime time.Time
	Link    string // where a symbolic link leads, as it is written there
	Digest  Digest // of a file
}

// Change is a path whose entry is another one than before. A time alone is no change.
type Change struct {
	Path    string // absolute
	Was, Is Entry
}

// Batch is what has changed since the one before, sorted by path.
type Batch struct {
	Changes []Change
	Since   time.Time // when the first event of it came
}

// Root is a directory, or one file, that is watched with all that is below it.
type Root struct {
	Path string // absolute; it need not be there

	// Skip says of a path below Path that it does not count, and of a directory that neither does what is below it: it is not
	// watched. nil: everything counts.
	Skip func(path string, dir bool) bool
}
