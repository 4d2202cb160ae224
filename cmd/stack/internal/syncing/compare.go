package syncing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"io/fs"
	"slices"
	"time"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// which of the files a container is to get, ascending.
func (b *batch) which(ctx context.Context, m member) ([]int, error) {
	if !b.compare {
		all := make([]int, len(b.files))
		for i := range all {
			all[i] = i
		}
		return all, nil
	}
	if len(b.files) == 0 {
		return nil, nil
	}
	e := b.services.engine
	differ, err := e.CompareFiles(ctx, m.id, b.describe())
	if err != nil {
		return nil, err
	}
	// Most files are known by size and time. The content of the others is read only now, and they are sent only if it
	// is another one: a container's programs that watch files, too, would take them for changed.
	unread := slices.DeleteFunc(slices.Clone(differ), func(i int) bool { return !b.unread(i) })
	if len(unread) == 0 {
		return differ, nil
	}
	still, err := e.CompareFiles(ctx, m.id, b.read(ctx, unread))
	if err != nil {
		return nil, err
	}
	for n, i := range unread {
		if _, found := slices.BinarySearch(still, n); !found {
			at, _ := slices.BinarySearch(differ, i)
			differ = slices.Delete(differ, at, at+1)
		}
	}
	return differ, nil
}

// describe says what a container is to have. Nobody changes what it returns.
func (b *batch) describe() []engine.FileState {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.states == nil {
		b.states = make([]engine.FileState, len(b.files))
		for i := range b.files {
			b.states[i] = b.services.stateOf(&b.files[i])
		}
	}
	return b.states
}

// stateOf describes a file as a container is to have it. What has changed since watching began is compared by its content:
// archives know times to the second only.
func (s *Services) stateOf(f *session.File) engine.FileState {
	state := engine.FileState{Path: f.Target, Mode: modeOf(&f.Entry)}
	switch f.Entry.Kind {
	case tree.Link:
		state.Link = f.Entry.Link
	case tree.File:
		state.Size = f.Entry.Size
		known := f.Entry.Digest != tree.Digest{}
		if known {
			state.Digest = slices.Clone(f.Entry.Digest[:])
		}
		if !known || f.Entry.ModTime.Before(s.began.Add(-time.Second)) {
			state.ModTime = f.Entry.ModTime
		}
	}
	return state
}

// modeOf is the type and the permissions.
func modeOf(e *tree.Entry) fs.FileMode {
	switch e.Kind {
	case tree.Dir:
		return fs.ModeDir | e.Mode&^fs.ModeType
	case tree.Link:
		return fs.ModeSymlink | fs.ModePerm
	}
	return e.Mode &^ fs.ModeType
}

// unread says whether it is a file whose content nobody has read.
func (b *batch) unread(i int) bool {
	return b.files[i].Entry.Kind == tree.File && b.files[i].Entry.Digest == tree.Digest{}
}

// read describes these files with the digests of their contents, each of which is read once. A file that cannot be read has none.
func (b *batch) read(ctx context.Context, which []int) []engine.FileState {
	b.mu.Lock()
	defer b.mu.Unlock()
	var missing []int
	for _, i := range which {
		if _, done := b.digests[i]; !done {
			missing = append(missing, i)
		}
	}
	digests := make([][]byte, len(missing))
	each(len(missing), func(n int) { digests[n] = b.services.digest(ctx, &b.files[missing[n]]) })
	for n, i := range missing {
		b.digests[i] = digests[n]
	}
	out := make([]engine.FileState, len(which))
	for n, i := range which {
		out[n] = b.states[i]
		out[n].Digest = b.digests[i]
	}
	return out
}

// digest is the one of a file that still is as the tree has seen it, else nil.
func (s *Services) digest(ctx context.Context, f *session.File) []byte {
	in, err := s.open(f.Source)
	if err != nil {
		return nil
	}
	defer in.Close()
	defer context.AfterFunc(ctx, func() { in.Close() })() // ends the reading of a large file
	before, err := in.Stat()
	if err != nil || !before.Mode().IsRegular() || !seen(f, before) {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(in, 0, before.Size())); err != nil {
		return nil
	}
	if after, err := in.Stat(); err != nil || !same(before, after) {
		return nil
	}
	return sum.Sum(nil)[:len(tree.Digest{})]
}

// seen says whether a file has the size and the time with which the tree saw it.
func seen(f *session.File, info fs.FileInfo) bool {
	return info.Size() == f.Entry.Size && info.ModTime().Equal(f.Entry.ModTime)
}

// same says whether nobody has written to a file in between.
func same(before, after fs.FileInfo) bool {
	return before.Size() == after.Size() && before.ModTime().Equal(after.ModTime())
}

// fits says whether the content of a file is what the tree has seen. still: nobody wrote to it meanwhile.
func fits(f *session.File, content []byte, info fs.FileInfo, still bool) bool {
	if f.Entry.Digest == (tree.Digest{}) {
		return still && seen(f, info)
	}
	sum := sha256.Sum256(content)
	return bytes.Equal(sum[:len(f.Entry.Digest)], f.Entry.Digest[:])
}
