// Package tree knows the files below some directories as they were last seen, and tells what has changed: not that something
// was written, but that the content, the permissions, the kind or the target of a link is another one than before.
//
// Files are not read when they are first seen; one goroutine does that afterwards, so that a later touch is known to be no
// change. One that is touched before that counts as changed. What cannot be seen, since no event tells of it:
// files that are written through a mapping while they stay open, and through a hard link from elsewhere.
//
// The way through: what the source tells is collected until it is quiet (pending, quiet). Then a pass compares these places with
// the disk (pass, see, content) and what differs becomes a Batch (open). What counts is a scope; rescope goes from one to another;
// guards notice when links on the way to a root lead elsewhere.
package tree

import (
	"io/fs"
	"slices"
	"strings"
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

// Change is a path whose entry is another one than before, or was in between and was shown by Each. A time alone is no change.
type Change struct {
	Path    string // absolute
	Was, Is Entry
}

// Batch is what has changed since the one before, sorted by path.
type Batch struct {
	Changes []Change
	Since   time.Time // when the first event of it came
}

// Root is a directory, or one file, that is watched with all that is below it. It may be reached through symbolic links; those
// below it are never followed.
type Root struct {
	Path string // absolute; it need not be there

	// Skip says of a path below Path that it does not count, and of a directory that neither does what is below it: it is not
	// watched. nil: everything counts. Several goroutines call it at once; it must not call the Tree.
	Skip func(path string, dir bool) bool
}

// differs says whether is another one than e. A file whose content is not known on both sides is.
func (e Entry) differs(is Entry) bool {
	switch {
	case e.Kind != is.Kind || e.Mode != is.Mode || e.Link != is.Link:
		return true
	case e.Kind == File:
		return e.Digest != is.Digest || e.Digest == Digest{}
	default:
		return false
	}
}

// merge makes one change of those that are about the same path, in their order, and leaves out what is as it was. The result is
// sorted.
func merge(changes []Change) []Change { return mergeAs(changes, false) }

// mergeAs leaves in what is as it was when that has been shown.
func mergeAs(changes []Change, shown bool) []Change {
	slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	out := changes[:0]
	for i := 0; i < len(changes); {
		last := i
		for last+1 < len(changes) && changes[last+1].Path == changes[i].Path {
			last++
		}
		c := Change{Path: changes[i].Path, Was: changes[i].Was, Is: changes[last].Is}
		if i == last || shown || c.Was.differs(c.Is) {
			out = append(out, c)
		}
		i = last + 1
	}
	return out
}
