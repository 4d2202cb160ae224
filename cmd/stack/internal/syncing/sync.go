package syncing

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// atOnce is in how many containers something is done at a time.
const atOnce = 4

// Sync implements session.Actions. Only content that the tree has seen is written: a file that is another one by now is left out
// and told as Unsettled. Removed counts what was asked for; a comparison does not know what was there, so that it counts none. A
// container that goes away meanwhile is none of the service's any more; one that ends is compared when it starts.
func (s *Services) Sync(ctx context.Context, service string, work session.Work) (session.Synced, error) {
	list, err := s.members.of(ctx, service)
	if err != nil {
		return session.Synced{}, err
	}
	if work.After {
		list = s.reached.only(service, list)
	}
	b := newBatch(s, work)
	results := make([]result, len(list))
	each(len(list), func(i int) {
		results[i] = b.sync(ctx, list[i])
		b.freshen(list[i], &results[i])
	})
	s.reached.note(service, list, results)
	if ctx.Err() != nil {
		return session.Synced{}, context.Cause(ctx)
	}
	return b.sum(results)
}

// each calls do with 0 to n-1, some at a time.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	free := make(chan struct{}, atOnce)
	for i := range n {
		free <- struct{}{}
		all.Go(func() {
			defer func() { <-free }()
			do(i)
		})
	}
	all.Wait()
}

// batch is one Sync.
type batch struct {
	services *Services
	files    []session.File
	remove   []string
	compare  bool
	whole    bool
	folders  int // of remove

	mu       sync.Mutex
	states   []engine.FileState  // what a container is to have of each file; made by describe
	digests  map[int][]byte      // of files that the tree has not read; made by read
	archives map[string]*archive // by which of the files they have
}

func newBatch(s *Services, work session.Work) *batch {
	none := func(f session.File) bool { return f.Entry.Kind == tree.None }
	if slices.ContainsFunc(work.Files, none) {
		work.Files = slices.DeleteFunc(slices.Clone(work.Files), none)
	}
	return &batch{
		services: s, files: work.Files, remove: work.Remove, compare: work.Compare, whole: work.Whole, folders: work.Folders,
		digests: make(map[int][]byte), archives: make(map[string]*archive),
	}
}

// result is what was done in one container.
type result struct {
	id      string
	fresh   bool // it has not been compared since it has begun
	reached bool // the container is as it should be, but for what packed tells
	removed session.Count
	packed  packed
	err     error
}

// sync does the work in one container, once more if the container has ended meanwhile and begun again.
func (b *batch) sync(ctx context.Context, m member) result {
	b.services.noteVolatile(ctx, m, b.files)
	r := b.try(ctx, m)
	if r.err == nil || ctx.Err() != nil {
		return r
	}
	err, again := b.services.judge(ctx, m, r.err)
	if again {
		if r = b.try(ctx, m); r.err == nil || ctx.Err() != nil {
			return r
		}
		err, _ = b.services.judge(ctx, m, r.err)
	}
	r.err = err
	return r
}

func (b *batch) try(ctx context.Context, m member) result {
	which, err := b.which(ctx, m)
	if err != nil {
		return result{err: err}
	}
	if len(which)+len(b.remove) == 0 {
		return result{reached: true}
	}
	a := b.archive(which)
	if nothing, packed := a.nothing(ctx); nothing && len(b.remove) == 0 {
		return result{reached: true, packed: packed}
	}
	var r result
	r.packed, r.err = a.send(ctx, func(content io.Reader) error {
		return b.services.engine.SyncFiles(ctx, m.id, content, engine.SyncOptions{Remove: b.remove})
	})
	if r.reached = r.err == nil; r.reached && !b.compare {
		n := len(slices.Compact(slices.Sorted(slices.Values(b.remove)))) // a path may be there twice
		r.removed = session.Count{Files: n - b.folders, Folders: b.folders}
	}
	return r
}

// freshen takes in that a container is as the rules say.
func (b *batch) freshen(m member, r *result) {
	r.id, r.fresh = m.id, m.fresh && b.whole && r.reached
	if r.fresh {
		b.services.members.update(m.id, func(known *member) { known.fresh = known.behind })
	}
}

// archive is the one with these files, the same for all containers that need the same ones.
func (b *batch) archive(which []int) *archive {
	var key []byte
	for _, i := range which {
		key = binary.AppendUvarint(key, uint64(i))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.archives[string(key)]
	if a == nil {
		a = newArchive(b.services, b.files, which)
		b.archives[string(key)] = a
	}
	return a
}

// sum adds up what was done. What cannot be read is told, and no error: whoever makes it readable changes it.
func (b *batch) sum(results []result) (session.Synced, error) {
	var out session.Synced
	var errs []error
	var changed []string
	touched := 0
	unsettled, unreadable := make(map[string]bool), make(map[string]error)
	for _, r := range results {
		for _, source := range r.packed.unsettled {
			unsettled[source] = true
		}
		maps.Copy(unreadable, r.packed.unreadable)
		if r.err != nil {
			errs = append(errs, r.err)
		}
		if r.reached {
			out.Containers++
			written := r.packed.written()
			if written.Any() || r.removed.Any() {
				touched++
			}
			out.Written, out.Removed = most(out.Written, written), most(out.Removed, r.removed)
			out.Bytes += r.packed.bytes
			changed = append(changed, r.packed.sources...)
		}
		if r.fresh {
			out.New = append(out.New, session.Fresh{Container: r.id, Changed: slices.Sorted(slices.Values(r.packed.sources))})
		}
	}
	if touched > 0 {
		out.Containers = touched
	}
	if b.compare {
		slices.Sort(changed)
		out.Changed = slices.Compact(changed)
	}
	out.Unsettled = slices.Sorted(maps.Keys(unsettled))
	for _, err := range b.services.sources.note(b.files, unsettled, unreadable) {
		b.services.options.Told(err)
	}
	return out, errors.Join(errs...)
}

// most is the larger one.
func most(a, b session.Count) session.Count {
	if b.Files+b.Folders > a.Files+a.Folders {
		return b
	}
	return a
}
