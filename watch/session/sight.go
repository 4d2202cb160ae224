package session

import (
	"path"
	"strings"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// sight is what a service's rules that copy say about targets, by what the tree has now.
type sight struct {
	files  Files
	rules  []*rules.Rule
	index  []int           // of each rule among all of the service
	covers map[string]bool // directories in the container: whether they, or one above, are no directories by the rules
}

// claim is what belongs at a target. Its Entry is zero: nothing does.
type claim struct {
	File
	itself bool // it is the directory of a rule, which the container keeps as it has it
}

// covers says whether nothing can be below it.
func (c claim) covers() bool { return c.Entry.Kind == tree.File || c.Entry.Kind == tree.Link }

// claim is what the last of the rules, from this one on, that has something for the target says.
func (s *sight) claim(target string, from int) claim {
	for i := len(s.rules) - 1; i >= from; i-- {
		if c := s.claimOf(s.rules[i], target); c.Entry.Kind != tree.None {
			return c
		}
	}
	return claim{}
}

func (s *sight) claimOf(r *rules.Rule, target string) claim {
	if !within(target, r.Target) {
		return claim{}
	}
	root := s.at(r.Path)
	switch {
	case root.Kind == tree.File:
		if rel, ok := r.Matches(r.Path, false); ok && path.Join(r.Target, rel) == target {
			return claim{File: File{Source: r.Path, Target: target, Entry: root}}
		}
	case root.Kind != tree.Dir:
	case target == r.Target:
		return claim{File: File{Source: r.Path, Target: target, Entry: root}, itself: true}
	default:
		source := sourceOf(r, target)
		e := s.at(source)
		if _, ok := r.Matches(source, e.Kind == tree.Dir); ok && e.Kind != tree.None {
			return claim{File: File{Source: source, Target: target, Entry: e}}
		}
	}
	return claim{}
}

// covered says whether the rules have a file or a link at a place above the target, so that nothing can be there.
func (s *sight) covered(target string) bool {
	dir := path.Dir(target)
	if dir == target {
		return false
	}
	known, ok := s.covers[dir]
	if !ok {
		known = s.claim(dir, 0).covers() || s.covered(dir)
		s.covers[dir] = known
	}
	return known
}

// needed says whether the tree has something for the target, or a directory there that the rules want only for what is in it.
func (s *sight) needed(target string) bool {
	for _, r := range s.rules {
		if within(target, r.Target) && s.at(sourceOf(r, target)).Kind == tree.Dir {
			return true
		}
	}
	return s.claim(target, 0).Entry.Kind != tree.None
}

// shared says whether more than one rule may have something at or below the target.
func (s *sight) shared(target string) bool {
	n := 0
	for _, r := range s.rules {
		if within(target, r.Target) || within(r.Target, target) {
			n++
		}
	}
	return n > 1
}

// ours says whether one of the rules is about the target.
func (s *sight) ours(target string) bool {
	for _, r := range s.rules {
		if !within(target, r.Target) {
			continue
		}
		for _, dir := range []bool{false, true} {
			for _, source := range []string{sourceOf(r, target), r.Path} {
				if rel, ok := r.Matches(source, dir); ok && path.Join(r.Target, rel) == target {
					return true
				}
			}
		}
	}
	return false
}

// at is what the tree has at the path.
func (s *sight) at(file string) tree.Entry {
	if file == "/" {
		return tree.Entry{Kind: tree.Dir}
	}
	var out tree.Entry
	s.files.Each(file, func(path string, e tree.Entry) bool {
		if path == file {
			out = e
		}
		return false
	})
	return out
}

// sourceOf is what the rule copies to the target, which is in the rule's, if the rule's path is a directory.
func sourceOf(r *rules.Rule, target string) string {
	return path.Join(r.Path, strings.TrimPrefix(target, r.Target))
}

// within says whether the path is the directory or below it. Both are clean.
func within(file, dir string) bool {
	return dir == "/" || file == dir || len(file) > len(dir) && file[len(dir)] == '/' && file[:len(dir)] == dir
}
