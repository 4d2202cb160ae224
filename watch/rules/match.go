package rules

import (
	"path/filepath"
	"strings"
)

// here is how a rule's own path is called, relative to itself.
const here = "."

// Matches says whether a change of the path is one that the rule is about, and where the path is relative to the rule's own: with
// slashes, "." for the rule's path itself if that is a file; joined with the target, where it belongs in the container. The
// rule's directory itself never matches: what is in it does. dir says whether the path is, or was, a directory.
func (r *Rule) Matches(path string, dir bool) (rel string, ok bool) {
	rel, ok = below(path, r.Path)
	if !ok {
		return "", false
	}
	if rel == here {
		return r.itself(path, dir)
	}
	if r.apart(rel) || !dir && isTemporary(filepath.Base(rel)) || r.ignore.match(rel) || r.notBuilt(path, patterns.match) {
		return rel, false
	}
	return rel, len(r.include) == 0 || r.include.match(rel)
}

// itself is Matches of the rule's own path. Whoever has a rule about one file means that file, whatever it is called; patterns are
// about its name.
func (r *Rule) itself(path string, dir bool) (string, bool) {
	name := filepath.Base(path)
	if dir || r.ignore.match(name) || len(r.include) > 0 && !r.include.match(name) || r.notBuilt(path, patterns.match) {
		return here, false
	}
	if r.into {
		return name, true
	}
	return here, true
}

// Skips says that the path does not count and, of a directory, that nothing that may ever be below it does.
func (r *Rule) Skips(path string, dir bool) bool {
	rel, ok := below(path, r.Path)
	if !ok {
		_, above := below(r.Path, path)
		return !dir || !above
	}
	if !dir {
		_, matches := r.Matches(path, false)
		return !matches
	}
	if rel == here {
		return false
	}
	return r.apart(rel) || r.ignore.matchAll(rel) || r.notBuilt(path, patterns.matchAll) ||
		len(r.include) > 0 && !r.include.mayMatchBelow(rel)
}

// apart says whether the path is in one of the folders that never count, or a bind mount hides where it belongs.
func (r *Rule) apart(rel string) bool {
	for rest, more := rel, true; more; {
		var name string
		if name, rest, more = strings.Cut(rest, "/"); isFolder(name) {
			return true
		}
	}
	for _, m := range r.mounted {
		if _, ok := below(rel, m); ok {
			return true
		}
	}
	return false
}

// notBuilt asks about a path of the build context whether the image is built without it.
func (r *Rule) notBuilt(path string, ask func(patterns, string) bool) bool {
	if len(r.leftOut) == 0 {
		return false
	}
	rel, ok := below(path, r.context)
	return ok && rel != here && ask(r.leftOut, rel)
}

// below is where the path is relative to the directory, if it is the same or below it. Both are clean.
func below(path, dir string) (rel string, ok bool) {
	rest, ok := strings.CutPrefix(path, dir)
	switch {
	case !ok:
		return "", false
	case rest == "":
		return here, true
	case rest[0] == '/':
		return rest[1:], true
	case strings.HasSuffix(dir, "/"): // the root
		return rest, true
	}
	return "", false
}
