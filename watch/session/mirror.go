package session

import (
	"maps"
	"path"
	"slices"
	"strings"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// mirror knows what a service's targets are to look like: as the tree is when it is asked, not as it was when something changed.
type mirror struct {
	files Files
	gone  tombs
}

// work is what makes targets right: those of the paths that have fired rules, and those of the comparison.
func (m *mirror) work(list []*rules.Rule, copies fired, compare extent) Work {
	s := &sight{files: m.files, covers: map[string]bool{}}
	for i, r := range list {
		if r.Action.Syncs() {
			s.rules = append(s.rules, r)
			s.index = append(s.index, i)
		}
	}
	w := &worklist{sight: s, gone: &m.gone, files: map[string]File{}, remove: map[string]bool{}, opened: map[string]bool{}}
	for i, r := range s.rules {
		for source, a := range copies[s.index[i]] {
			w.changed(r, source, a)
		}
	}
	if w.uncovered {
		compare = all
	}
	if compare != nothing {
		w.compare(compare)
	}
	if compare == all {
		w.opened["/"] = true
	}
	w.bury()
	return w.sorted(compare != nothing)
}

// worklist is a Work in the making.
type worklist struct {
	*sight
	gone   *tombs
	files  map[string]File
	remove map[string]bool
	listed []File // by the comparison, beside files

	// opened: whether there may still be what has gone below a target. What was below a file was left to the file, which may
	// never have been there.
	opened map[string]bool

	// uncovered: a directory has taken the place of a file, and rules that have not changed may have something for it, too.
	uncovered bool
}

// changed takes in the target of a path that has changed.
func (w *worklist) changed(r *rules.Rule, source string, a as) {
	for _, dir := range []bool{false, true} {
		rel, ok := r.Matches(source, dir)
		if !ok || a&asFile == 0 && !dir || a&asDir == 0 && dir {
			continue
		}
		target := path.Join(r.Target, rel)
		c := w.claim(target, 0)
		if a&asFile != 0 && !c.covers() {
			w.opened[target] = w.gone.anyBelow(target)
			w.uncovered = w.uncovered || c.Entry.Kind == tree.Dir && w.shared(target)
		}
		switch {
		case c.Entry.Kind == tree.None:
			w.removed(r, source, target)
		case c.itself && a&asFile == 0: // it stays as the container has it
		default:
			w.write(c)
		}
	}
}

func (w *worklist) write(c claim) {
	w.gone.forget(c.Target)
	if !w.covered(c.Target) {
		w.files[c.Target] = c.File
	}
}

// removed takes in a target that is to go, and the directories above it that were made for it and have gone, too.
func (w *worklist) removed(r *rules.Rule, source, target string) {
	if source == r.Path && w.at(source).Kind != tree.None {
		return // what has taken the place of the rule's path is nothing that could be copied
	}
	w.gone.add(target)
	if !w.covered(target) {
		w.remove[target] = true
	}
	for dir := path.Dir(target); within(dir, r.Target) && dir != r.Target && !w.needed(dir); dir = path.Dir(dir) {
		w.gone.add(dir)
		if !w.covered(dir) {
			w.remove[dir] = true
		}
	}
}

// compare takes in all that is to be compared.
func (w *worklist) compare(how extent) {
	for i, r := range w.rules {
		if how == all || r.Compare {
			w.list(i, r)
		}
	}
}

// list takes in what the rule has and no later one has, too.
func (w *worklist) list(i int, r *rules.Rule) {
	begin := len(w.listed)
	w.sight.files.Each(r.Path, func(source string, e tree.Entry) bool {
		rel, ok := r.Matches(source, e.Kind == tree.Dir)
		if ok && e.Kind != tree.None && (source != r.Path || e.Kind == tree.File) {
			w.listed = append(w.listed, File{Source: source, Target: path.Join(r.Target, rel), Entry: e})
		}
		return true
	})
	if len(w.rules) == 1 && len(w.files) == 0 {
		return
	}
	mine := slices.DeleteFunc(w.listed[begin:], func(f File) bool {
		_, taken := w.files[f.Target]
		return taken || w.claim(f.Target, i+1).Entry.Kind != tree.None || w.covered(f.Target)
	})
	w.listed = w.listed[:begin+len(mine)]
}

// bury removes what has gone since the session began, as far as it may be there.
func (w *worklist) bury() {
	maps.DeleteFunc(w.opened, func(_ string, some bool) bool { return !some })
	if len(w.opened) == 0 {
		return
	}
	for _, target := range w.gone.all() {
		switch {
		case !w.below(target):
		case w.claim(target, 0).Entry.Kind != tree.None || !w.ours(target):
			w.gone.forget(target)
		case !w.covered(target):
			w.remove[target] = true
		}
	}
}

// below says whether the target is below one of the opened.
func (w *worklist) below(target string) bool {
	for dir := path.Dir(target); !w.opened[dir]; dir = path.Dir(dir) {
		if dir == "/" {
			return false
		}
	}
	return true
}

// sorted is the Work.
func (w *worklist) sorted(compare bool) Work {
	out := Work{Files: w.listed, Compare: compare, Remove: slices.Sorted(maps.Keys(w.remove))}
	out.Files = slices.AppendSeq(out.Files, maps.Values(w.files))
	slices.SortFunc(out.Files, func(a, b File) int { return strings.Compare(a.Target, b.Target) })
	slices.Reverse(out.Remove)
	return out
}
