package e2e

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// node is what a path is, as far as it is synced: its kind, permissions, content or the target of a link, and owner.
type node struct {
	kind  byte // of a tar: tar.TypeReg, tar.TypeDir, tar.TypeSymlink
	mode  fs.FileMode
	is    string // digest of the content, or where a link leads
	owner string
}

func (n node) String() string {
	if n.kind == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%c %v %s of %s", n.kind, n.mode, n.is, n.owner)
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func digest(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d bytes %x", n, h.Sum(nil)[:6]), err
}

// mirrored is one rule of develop.watch, read by hand.
type mirrored struct {
	path   string // on the host
	target string // in the container
	counts func(rel string) bool
	loose  bool // folders do not count, only what is in them
}

var temporary = regexp.MustCompile(`^4913$|^\..*\.swp$|~$|^\.#|^#.*#$|___jb_(tmp|old)___$`)

// ordinary is what counts by every rule: neither git's nor an editor's own.
func ordinary(rel string, dir bool) bool {
	return !slices.Contains(strings.Split(rel, "/"), ".git") && (dir || !temporary.MatchString(path.Base(rel)))
}

// want adds what the target must have by the rule.
func (m mirrored) want(all map[string]node, owner string) error {
	return filepath.WalkDir(m.path, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(m.path, p)
		if rel == "." && d.IsDir() {
			return nil // what is in it is meant
		}
		if rel != "." && (!ordinary(rel, d.IsDir()) || m.counts != nil && !m.counts(rel)) {
			if d.IsDir() && !m.loose {
				return filepath.SkipDir
			}
			return nil
		}
		n, err := nodeOf(p, d)
		if err != nil || n.kind == 0 || n.kind == tar.TypeDir && m.loose {
			return err
		}
		n.owner = owner
		all[path.Join(m.target, rel)] = n
		return nil
	})
}

func nodeOf(p string, d fs.DirEntry) (node, error) {
	info, err := d.Info()
	if err != nil {
		return node{}, err
	}
	n := node{mode: info.Mode() & modeBits}
	switch info.Mode().Type() {
	case fs.ModeDir:
		n.kind = tar.TypeDir
	case fs.ModeSymlink:
		n.kind, n.mode = tar.TypeSymlink, 0
		n.is, err = os.Readlink(p)
	case 0:
		n.kind = tar.TypeReg
		var f *os.File
		if f, err = os.Open(p); err == nil {
			n.is, err = digest(f)
			f.Close()
		}
	}
	return n, err
}

// archived is what a tar of the folder has, by absolute paths.
func archived(r io.Reader, folder string) (map[string]node, error) {
	all := map[string]node{}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		n := node{kind: h.Typeflag, mode: h.FileInfo().Mode() & modeBits, owner: fmt.Sprint(h.Uid)}
		switch h.Typeflag {
		case tar.TypeReg:
			n.is, err = digest(t)
		case tar.TypeSymlink:
			n.is, n.mode = h.Linkname, 0
		case tar.TypeLink:
			n = all[path.Join(path.Dir(folder), h.Linkname)]
		}
		if err != nil {
			return nil, err
		}
		all[path.Join(path.Dir(folder), h.Name)] = n
	}
}

// target is what the folder of a container must have: what the rules say, and what is the container's own.
type target struct {
	service, folder, owner string
	rules                  []mirrored
	own                    map[string]string // the container's own files, with their contents
	loose                  []string          // folders below which there may be folders that the rules do not name
	spent                  map[string]bool   // own files that a change may have taken with it
}

// differs compares, and says at most twenty things.
func (w *target) differs(have map[string]node) ([]string, error) {
	want := map[string]node{}
	for _, m := range w.rules {
		if err := m.want(want, w.owner); err != nil {
			return nil, err
		}
	}
	around := map[string]bool{w.folder: true} // folders that are there because of what is or was in them
	for _, m := range w.rules {
		around[m.target] = true
	}
	for p, text := range w.own {
		is, _ := digest(strings.NewReader(text))
		if _, there := have[p]; !there && w.spent[p] {
			continue
		}
		want[p] = node{kind: tar.TypeReg, is: is}
	}
	for p := range want {
		for dir := path.Dir(p); strings.HasPrefix(dir, w.folder); dir = path.Dir(dir) {
			around[dir] = true
		}
	}
	var out []string
	paths := maps.Clone(want)
	maps.Copy(paths, have)
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if wanted, has := want[p], have[p]; !w.same(p, wanted, has, around) {
			out = append(out, fmt.Sprintf("%s is %v, want %v", p, has, wanted))
		}
	}
	if len(out) > 20 {
		out = append(out[:20], fmt.Sprintf("and %d more", len(out)-20))
	}
	return out, nil
}

func (w *target) same(p string, want, have node, around map[string]bool) bool {
	if want.kind == 0 && have.kind == tar.TypeDir {
		return around[p] || slices.ContainsFunc(w.loose, func(dir string) bool { return strings.HasPrefix(p+"/", dir+"/") })
	}
	if _, own := w.own[p]; own { // the container's: only its content is known
		return want.kind == have.kind && want.is == have.is
	}
	if want.kind == tar.TypeDir {
		have.owner = want.owner // whoever made it first
	}
	return want == have
}
