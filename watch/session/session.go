// Package session carries out what the rules ask for when files change: per service one thing after the other, the services
// beside each other.
//
// The way through: a Session hands what happens to one worker for each service (loop, queue, worker). What a service does next is
// decided by the function next alone, from its state and an event (state; finish is the end of a step); what it still has to do is
// a pending, by rules and paths. When files are to be copied the mirror says which, by what the tree has then: a sight is what the
// rules have for a target, tombs are targets that had something before.
package session

import (
	"context"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// Files is what a session needs of a tree.
type Files interface {
	// Watch says what is watched from now on. When it returns, Each knows what is there. It ends soon when ctx is done, with the
	// cause of that; then all that follows may know only a part.
	Watch(ctx context.Context, roots []tree.Root) error
	// Batches tells what has changed, also what Each has shown and was undone before it was told. It is closed when the tree is.
	Batches() <-chan tree.Batch
	// Each calls visit with what is at the path and below it, a directory before what is in it, until visit returns false. It
	// never shows less than Batches has told, and may be called at any time, by several at once. visit must not call it.
	Each(path string, visit func(path string, e tree.Entry) bool)
}

// Actions are what can be done to a service. Those of one service are called one after the other. A cancelled context ends them:
// they return when nothing is done any more, and with an error unless all was done.
type Actions interface {
	// Sync makes files in all containers of the service like those of the host. After an error all of the work is done again
	// at the next occasion, for whatever part of it was done.
	Sync(ctx context.Context, service string, work Work) (Synced, error)
	// Restart restarts the service's containers; only these, if some are named. waited is how long it was for others to be done.
	Restart(ctx context.Context, service string, only []string) (waited time.Duration, err error)
	// Signal sends the signal to the main process of each of the service's running containers.
	Signal(ctx context.Context, service, signal string) error
	// Exec runs the command in each of the service's running containers; only in these, if some are named.
	Exec(ctx context.Context, service string, hook types.ServiceHook, only []string) error
	// Rebuild builds the service's image and replaces its containers if it is another one. waited is as that of Restart.
	Rebuild(ctx context.Context, service string) (waited time.Duration, err error)
}

// Work is what a Sync is to do.
type Work struct {
	Files []File // sorted by target, no target twice, a directory before what is in it

	// Remove comes before Files, in its order. Its paths are absolute in the container. What is in a directory comes before the
	// directory, which stays if something else is in it. Where there may be a link instead, that comes first, and the
	// directory again at the end.
	Remove []string

	Folders int // how many of the paths of Remove were directories of the host, as far as that is known

	// After says that the Work before this one was its first half: it is for the containers in which that was done. In others, which
	// have begun since, links may be in the way of Remove; they are compared.
	After bool

	// Compare says that most of Files may be there already: what is, is left alone. Otherwise all of Files is written.
	Compare bool

	// Whole says that Files are all that the rules have: new containers are as they should be after it.
	Whole bool
}

// File is one file, directory or symbolic link of the host and where it belongs.
type File struct {
	Source string // absolute on the host
	Target string // absolute in the container
	Entry  tree.Entry
}

// Count is of files and links, and of folders.
type Count struct{ Files, Folders int }

// Any says that there is something.
func (c Count) Any() bool { return c != Count{} }

func (c Count) plus(d Count) Count { return Count{c.Files + d.Files, c.Folders + d.Folders} }

// Synced is what a Sync has done.
type Synced struct {
	Written, Removed Count // in the container that needed the most
	Containers       int   // in which something had to be done; if in none, how many are as they should be
	Bytes            int64 // of the content that was written, in all of them

	// New are the containers that a Sync with Whole has made as they should be for the first time since they have begun, or
	// since something was missed: what runs there has not seen what was written.
	New []Fresh

	// Changed names the sources of the files and links that a Sync with Compare has written, sorted, even after an error.
	Changed []string

	// Unsettled names the sources of files that were not found as their Entry says: gone, of another kind, or of another
	// content (by the digest; without one, by size and time). They are copied again soon, even if no further change is told:
	// what has changed back again nobody tells. Until then containers may have an older content or a newer one.
	Unsettled []string
}

// Fresh is a container that may run what it began with.
type Fresh struct {
	Container string   // as Restart and Exec take it
	Changed   []string // the sources of the files and links that were written, sorted
}

// Report is one thing that was done, or could not be.
type Report struct {
	Service string
	New     int               // it was done in so many new containers, and nowhere else; 0: in all of the service
	Action  rules.Action      // SyncRestart: a restart after copying, both told as one. SyncExec: the command; the copying is told before
	Paths   []string          // why: the changed files, absolute on the host, sorted; empty: a comparison without a change
	Synced  Synced            // of Sync and SyncRestart
	Signal  string            // of Signal
	Exec    types.ServiceHook // of Exec and SyncExec
	Took    time.Duration     // since the first event of the change; of a comparison, since it was asked for; without Waited
	Waited  time.Duration     // for others to be done
	Err     error
}
