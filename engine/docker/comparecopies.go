package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"stackrun.dev/stack/engine"
)

const (
	// fewFiles are fetched one by one, others with the directory that they are in.
	fewFiles = 16

	// atOnce is how many files are fetched at the same time.
	atOnce = 8

	// maxUnwanted is how much that nobody asked for is read of a directory before what is in it is fetched by itself.
	maxUnwanted = 32 << 20
)

// compareCopies compares with copies that the engine hands out: of the directory that all files are in, or, where that
// has too much else in it, of the directories below.
func (e *Engine) compareCopies(ctx context.Context, ref string, files []engine.FileState) ([]int, error) {
	if _, err := e.ContainerInspect(ctx, ref); err != nil {
		return nil, err
	}
	c := comparison{engine: e, ref: ref, wanted: make(map[string]*wanted, len(files))}
	for i := range files {
		name := path.Clean("/" + files[i].Path)
		if c.wanted[name] == nil {
			c.wanted[name] = &wanted{}
		}
		c.wanted[name].files = append(c.wanted[name].files, i)
	}
	c.files, c.same = files, make([]bool, len(files))
	if err := c.fetch(ctx, slices.Sorted(maps.Keys(c.wanted))); err != nil {
		return nil, err
	}
	differ := []int{}
	for i, same := range c.same {
		if !same {
			differ = append(differ, i)
		}
	}
	return differ, nil
}

type comparison struct {
	engine *Engine
	ref    string
	files  []engine.FileState
	wanted map[string]*wanted // by clean path
	same   []bool
}

// wanted is a path that is asked for.
type wanted struct {
	files []int // more than one if the caller is odd
	seen  bool
}

// fetch compares the files of these paths, which are sorted.
func (c *comparison) fetch(ctx context.Context, names []string) error {
	if len(names) <= fewFiles {
		return c.fetchEach(ctx, names)
	}
	dir := path.Dir(names[0])
	for _, name := range names {
		for dir != "/" && !strings.HasPrefix(name, dir+"/") {
			dir = path.Dir(dir)
		}
	}
	if dir == "/" {
		return c.fetchBelow(ctx, dir, names)
	}
	return c.fetchDir(ctx, dir, names)
}

// fetchBelow divides the paths by what they have first below the directory.
func (c *comparison) fetchBelow(ctx context.Context, dir string, names []string) error {
	var single []string
	groups := map[string][]string{}
	for _, name := range names {
		first, _, deeper := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(name, dir), "/"), "/")
		if deeper {
			groups[first] = append(groups[first], name)
		} else {
			single = append(single, name)
		}
	}
	for _, first := range slices.Sorted(maps.Keys(groups)) {
		if err := c.fetch(ctx, groups[first]); err != nil {
			return err
		}
	}
	return c.fetchEach(ctx, single)
}

// fetchEach fetches every file by itself.
func (c *comparison) fetchEach(ctx context.Context, names []string) error {
	var all sync.WaitGroup
	slots, errs := make(chan struct{}, atOnce), make([]error, len(names))
	for i, name := range names {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = c.fetchFile(ctx, name)
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (c *comparison) fetchFile(ctx context.Context, name string) error {
	content, err := c.open(ctx, name)
	if content == nil {
		return err
	}
	defer drain(content)
	in := tar.NewReader(content)
	h, err := in.Next()
	if err != nil {
		return c.broken(name, err)
	}
	return c.compare(c.wanted[name], h, in)
}

// open opens the archive of a path; nil if there is no such path.
func (c *comparison) open(ctx context.Context, name string) (io.ReadCloser, error) {
	content, _, err := c.engine.CopyFrom(ctx, c.ref, name)
	if err != nil && (errors.Is(err, engine.ErrNotFound) || strings.Contains(err.Error(), "not a directory")) {
		return nil, nil
	}
	return content, err
}

func (c *comparison) broken(name string, err error) error {
	return engine.Errorf(engine.ErrUnavailable, "cannot read the archive of %s in container %s: %w", name, c.ref, err)
}

// fetchDir reads the directory's archive. Those below symbolic links are not in it and are fetched by themselves.
func (c *comparison) fetchDir(ctx context.Context, dir string, names []string) error {
	content, err := c.open(ctx, dir+"/.")
	if content == nil {
		return err
	}
	defer content.Close()
	in, root, unwanted := tar.NewReader(content), "", int64(0)
	links, apart := map[string]bool{}, []string(nil) // hard links have their content elsewhere
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return c.broken(dir, err)
		}
		clean := path.Clean(h.Name)
		if root == "" {
			root = clean // ".", or the directory's name
		}
		name := path.Join(dir, strings.TrimPrefix(clean, strings.TrimPrefix(root, ".")))
		w := c.wanted[name]
		if h.Typeflag == tar.TypeSymlink {
			links[name] = true
		}
		if w != nil && h.Typeflag == tar.TypeLink {
			apart, w.seen = append(apart, name), true
			continue
		}
		if w != nil {
			if err := c.compare(w, h, in); err != nil {
				return err
			}
			continue
		}
		if unwanted += h.Size; unwanted > maxUnwanted {
			_ = content.Close()
			return errors.Join(c.fetchBelow(ctx, dir, c.unseen(names)), c.fetchEach(ctx, apart))
		}
	}
	for _, name := range c.unseen(names) {
		if below(name, links) {
			apart = append(apart, name)
		}
	}
	return c.fetchEach(ctx, apart)
}

// below reports whether the file is in one of the directories.
func below(name string, dirs map[string]bool) bool {
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		if dirs[dir] {
			return true
		}
	}
	return false
}

func (c *comparison) unseen(names []string) []string {
	var out []string
	for _, name := range names {
		if !c.wanted[name].seen {
			out = append(out, name)
		}
	}
	return out
}

// compare compares what an archive has with what is asked for.
func (c *comparison) compare(w *wanted, h *tar.Header, content io.Reader) error {
	w.seen = true
	var sum []byte
	for _, i := range w.files {
		want := &c.files[i]
		if sum == nil && needsDigest(want, h) {
			hash := sha256.New()
			if _, err := io.Copy(hash, content); err != nil {
				return c.broken(want.Path, err)
			}
			sum = hash.Sum(nil)
		}
		c.same[i] = matches(want, h, sum)
	}
	return nil
}

// needsDigest reports whether the content decides.
func needsDigest(want *engine.FileState, h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && want.Mode.IsRegular() && len(want.Digest) > 0 && h.Size == want.Size && h.ModTime.Unix() != want.ModTime.Unix()
}

func matches(want *engine.FileState, h *tar.Header, sum []byte) bool {
	mode := h.FileInfo().Mode()
	switch {
	case !want.SameMode(mode):
		return false
	case mode.IsDir():
		return true
	case mode&fs.ModeSymlink != 0:
		return h.Linkname == want.Link
	case h.Size != want.Size:
		return false
	case h.ModTime.Unix() == want.ModTime.Unix():
		return true
	}
	return sum != nil && bytes.HasPrefix(sum, want.Digest)
}
