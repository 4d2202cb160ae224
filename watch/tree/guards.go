package tree

import (
	"os"
	"path/filepath"
	"strings"

	"stackrun.dev/stack/watch"
)

// guards are the entries through which symbolic links on the way to roots lead: when one of them changes, the link leads to
// something else. By directory and name; the values are the paths of the links.
type guards map[string]map[string][]string

// mostLinks is how many links the kernel follows in a path.
const mostLinks = 40

func (g guards) about(e watch.Event) bool {
	if e.Name == "" {
		return g[e.Dir] != nil
	}
	return g[e.Dir][e.Name] != nil
}

func (g guards) add(dir, name, link string) {
	if g[dir] == nil {
		g[dir] = map[string][]string{}
	}
	g[dir][name] = append(g[dir][name], link)
}

// trace notes where the link leads through.
func (g guards) trace(link, target string) {
	at, rest := "/", filepath.Dir(link)+"/"+target
	if filepath.IsAbs(target) {
		rest = target
	}
	for links := 0; rest != "" && links < mostLinks; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		g.add(at, name, link)
		path := filepath.Join(at, name)
		switch to, err := os.Readlink(path); {
		case err == nil && filepath.IsAbs(to):
			at, rest, links = "/", to+"/"+rest, links+1
		case err == nil:
			rest, links = to+"/"+rest, links+1
		case !isDir(path):
			return
		default:
			at = path
		}
	}
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// guardsOf traces all links on the way to roots.
func guardsOf(s *scope) guards {
	g := guards{}
	for dir, names := range s.ways {
		for name := range names {
			path := filepath.Join(dir, name)
			if target, err := os.Readlink(path); err == nil {
				g.trace(path, target)
			}
		}
	}
	return g
}

// guard watches what the links on the way to roots lead through. It looks again until nothing has changed before it was watched.
func (t *Tree) guard() {
	for range mostLinks {
		now, added := guardsOf(t.scope), false
		for dir := range now {
			if t.guards[dir] == nil {
				added = true
				_ = t.source.Add(dir) // what leads to a root seldom changes
			}
		}
		for dir := range t.guards {
			if now[dir] == nil && t.dirs[dir] == nil {
				t.source.Remove(dir)
			}
		}
		t.index.Lock()
		t.guards = now
		t.index.Unlock()
		if !added {
			return
		}
	}
}

// guarded looks at the links that lead through something that has happened.
func (p *pass) guarded(dir string, names map[string]struct{}) {
	guards := p.tree.guards[dir]
	if guards == nil {
		return
	}
	p.ways = true
	_, itself := names[""]
	if itself {
		_ = p.tree.source.Add(dir)
	}
	for name, links := range guards {
		if _, happened := names[name]; !happened && !itself {
			continue
		}
		for _, link := range links {
			above, name := split(link)
			if d := p.tree.dirs[above]; d != nil && !d.toBeListed() {
				p.entries(d, map[string]struct{}{name: {}})
			}
		}
	}
}
