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

// work is what makes targets right: those of the paths that have fired rules, and those of the comparison. It is one thing after
// the other, most often one.
func (m *mirror) work(list []*rules.Rule, copies fired, compare extent) []Work {
	s := &sight{files: m.files, covers: map[string]bool{}}
	for i, r := range list {
		if r.Action.Syncs() {
			s.rules = append(s.rules, r)
			s.index = append(s.index, i)
		}
	}
	w := &worklist{
		sight: s, gone: &m.gone, files: map[string]File{},
		remove: map[string]bool{}, late: map[string]bool{}, dirs: map[string]bool{}, opened: map[string]bool{},
	}
	for i, r := range s.rules {
		for source, a := range copies[s.index[i]] {
			w.changed(r, source, a)
		}
	}
	if w.uncovered {
		compare |= all
	}
	if compare != nothing {
		w.compare(compare)
	}
	w.bury(compare&all != 0)
	return w.sorted(compare)
}

// worklist is a Work in the making.
type worklist struct {
	*sight
	gone   *tombs
	files  map[string]File
	remove map[string]bool
	late   map[string]bool // what is removed when the rest is done
	dirs   map[string]bool // of both, as far as it is known
	listed []File          // by the comparison, beside files

	// opened are targets that were files or links, and are none now. What was below was left to the file, which may never have been
	// there, so it is to be removed; but not before the link has gone that may be there, else what it leads to would be.
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
			w.opened[target] = true
			w.uncovered = w.uncovered || c.Entry.Kind == tree.Dir && w.shared(target)
		}
		switch {
		case c.Entry.Kind == tree.None:
			w.removed(r, source, target)
			w.dirs[target] = a == asDir
		case c.itself && a&asFile == 0: // it stays as the container has it
		default:
			w.write(c)
			if c.itself { // new containers may have the file that it was
				w.gone.add(target)
			}
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
			w.remove[dir], w.dirs[dir] = true, true
		}
	}
}

// folders counts what of the paths were directories.
func (w *worklist) folders(paths []string) int {
	n := 0
	for _, p := range paths {
		if w.dirs[p] {
			n++
		}
	}
	return n
}

// compare takes in all that is to be compared.
func (w *worklist) compare(how extent) {
	for i, r := range w.rules {
		if how&all != 0 || r.Compare {
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

// bury removes what has gone since the session began, as far as it may be there: anywhere, or below what was opened.
func (w *worklist) bury(anywhere bool) {
	if !anywhere && !slices.ContainsFunc(slices.Collect(maps.Keys(w.opened)), w.gone.anyBelow) {
		return
	}
	for _, target := range w.gone.all() {
		switch c := w.claim(target, 0); {
		case !anywhere && !w.below(target):
		case c.Entry.Kind != tree.None && !c.itself || !w.ours(target):
			w.gone.forget(target)
		case c.itself: // a file, which is in the way
			w.remove[target] = true
		case !w.covered(target):
			w.late[target] = true
		}
	}
}

// below says whether the target is below one that was opened.
func (w *worklist) below(target string) bool {
	for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
		if w.opened[dir] {
			return true
		}
	}
	return false
}

// sorted is the Work, and a second one for what may be below a link until the first is done.
func (w *worklist) sorted(how extent) []Work {
	compare, whole := how != nothing, how&all != 0
	waits := func(target string, _ bool) bool { // a new container may have a link of its image above
		return w.below(target) || compare && !w.claim(target, 0).itself
	}
	for target := range w.remove {
		if waits(target, true) {
			w.late[target] = true
		}
	}
	for target := range w.late {
		for dir := path.Dir(target); dir != "/"; dir = path.Dir(dir) {
			if w.remove[dir] {
				w.late[dir] = true // once it is empty
			}
		}
	}
	maps.DeleteFunc(w.remove, waits)
	first := Work{Files: w.listed, Compare: compare, Whole: whole, Remove: slices.Sorted(maps.Keys(w.remove))}
	first.Folders = w.folders(first.Remove)
	first.Files = slices.AppendSeq(first.Files, maps.Values(w.files))
	slices.SortFunc(first.Files, func(a, b File) int { return strings.Compare(a.Target, b.Target) })
	slices.Reverse(first.Remove)
	second := Work{Compare: compare, Whole: whole, Folders: w.folders(slices.Sorted(maps.Keys(w.late))), Remove: thereAndBack(slices.Sorted(maps.Keys(w.late)))}
	list := slices.DeleteFunc([]Work{first, second}, func(w Work) bool { return len(w.Files)+len(w.Remove) == 0 })
	for i := range list {
		list[i].After = i > 0
	}
	return list
}

// thereAndBack is what to remove in which order when there may be links among the sorted targets: first these, and last the
// directories that are empty then.
func thereAndBack(targets []string) []string {
	holding := map[string]bool{}
	for _, target := range targets {
		for dir := path.Dir(target); dir != "/" && !holding[dir]; dir = path.Dir(dir) {
			holding[dir] = true
		}
	}
	out := slices.Clone(targets)
	for _, target := range slices.Backward(targets) {
		if holding[target] {
			out = append(out, target)
		}
	}
	return out
}
