package tree

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// scope is what is to be watched. It does not change.
type scope struct {
	roots map[string][]*Root             // by path
	ways  map[string]map[string]struct{} // by directory: the names in it that lead to roots, or are roots
}

func newScope(roots []Root) (*scope, error) {
	s := &scope{roots: map[string][]*Root{}, ways: map[string]map[string]struct{}{}}
	for _, r := range roots {
		if !filepath.IsAbs(r.Path) {
			return nil, fmt.Errorf("cannot watch %q: the path is not absolute", r.Path)
		}
		r.Path = filepath.Clean(r.Path)
		s.roots[r.Path] = append(s.roots[r.Path], &r)
		for path := r.Path; path != "/"; {
			dir := filepath.Dir(path)
			if s.ways[dir] == nil {
				s.ways[dir] = map[string]struct{}{}
			}
			s.ways[dir][filepath.Base(path)] = struct{}{}
			path = dir
		}
	}
	return s, nil
}

// leads says that the entry is on the way to a root, or one.
func (s *scope) leads(dir, name string) bool {
	_, leads := s.ways[dir][name]
	return leads
}

// cover are the roots for which a path counts, given those of the directory that it is in. Most often they are the same.
func (s *scope) cover(above []*Root, path string, dir bool) []*Root {
	skips := func(r *Root) bool { return r.Skip != nil && r.Skip(path, dir) }
	here := s.roots[path]
	if len(here) == 0 && !slices.ContainsFunc(above, skips) {
		return above
	}
	out := slices.Clone(here)
	for _, r := range above {
		if !skips(r) {
			out = append(out, r)
		}
	}
	return out
}

// counts says that an event about the entry may be one that somebody wants to know of. What kind of file it is now is not known.
func (s *scope) counts(d *dir, name string) bool {
	if s.leads(d.path, name) {
		return true
	}
	path := d.join(name)
	return slices.ContainsFunc(d.cover, func(r *Root) bool {
		return r.Skip == nil || !r.Skip(path, false) || !r.Skip(path, true)
	})
}

// filters says that there may be entries that do not count.
func filters(cover []*Root) bool {
	return len(cover) == 0 || !slices.ContainsFunc(cover, func(r *Root) bool { return r.Skip == nil })
}

// split is the directory and the name of a path; the top has no name.
func split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i == 0 {
		return "/", path[1:]
	}
	return path[:i], path[i+1:]
}
