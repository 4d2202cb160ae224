package rules

import (
	"path"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// develop adds the rules of the service's develop.watch.
func (m *maker) develop(service string) error {
	watches := m.Watches(service)
	if len(watches) == 0 {
		return nil
	}
	leftOut, context, err := m.leftOut(service)
	if err != nil {
		return err
	}
	for _, w := range watches {
		r := &Rule{
			Service: service, Path: w.Path, Action: Action(w.Action), Include: w.Include, Ignore: w.Ignore, Place: w.Position(),
		}
		if r.Action == Rebuild && m.Services[service].Build == nil {
			m.errors = append(m.errors, w.Mistake("there is nothing to rebuild: service "+service+" has no build", "add build:, or write action: restart", "action"))
			continue
		}
		if problem := endless(project.RealPath(path.Clean(r.Path))); problem != "" {
			m.errors = append(m.errors, w.Mistake(problem, "name the folder that is worked on, such as path: ./src", "path"))
			continue
		}
		if r.Action == SyncExec {
			r.Exec = w.Exec
		}
		if w.Copies() {
			r.Target, r.into = w.Destination(), strings.HasSuffix(w.Target, "/")
			r.Compare = !w.NoInitialSync
			if !m.besideMounts(r, w) {
				continue
			}
		}
		if err := m.add(r, leftOut, context); err != nil {
			return err
		}
		m.adviseAbout(r, w)
	}
	return nil
}

// endless says what is wrong with watching all that is below the path; empty: nothing is. Memory that programs use as a folder is
// one as any other.
func endless(path string) string {
	if _, memory := below(path, "/dev/shm"); memory {
		return ""
	}
	switch dir, kernels := kernelsOwn(path); {
	case path == "/":
		return "watching / would look at every file of this machine"
	case kernels:
		return "watching " + path + " makes no sense: what is in " + dir + " is made by the kernel, and no event tells of its changes"
	}
	return ""
}

// besideMounts takes out of the rule what bind mounts show in the container anyway, and what would be written through them onto
// this machine. It says whether something is left of the rule.
func (m *maker) besideMounts(r *Rule, w project.Watch) bool {
	if mount, shown, covered := w.Covered(); shown {
		return m.withoutCopy(r, w, mount.Target)
	} else if covered {
		m.warn("no-effect", w.Position("target"), "%s is in the bind mount of %s, and what is copied there would be written to this machine; the rule has no effect",
			r.Target, m.shown(mount.Source))
		return false
	}
	for _, v := range m.Services[r.Service].Volumes {
		if rel, ok := below(path.Clean(v.Target), r.Target); ok && v.Type == types.VolumeTypeBind {
			r.mounted = append(r.mounted, rel)
		}
	}
	return true
}

// withoutCopy makes of a rule whose files a bind mount shows one that copies nothing.
func (m *maker) withoutCopy(r *Rule, w project.Watch, mount string) bool {
	const nothing = "the bind mount at %s shows %s in the container already, so that there is nothing to copy; "
	shown := m.shown(r.Path)
	r.Target, r.Compare = "", false
	switch r.Action {
	case SyncRestart:
		m.warn("no-effect", w.Position("action"), nothing+"action: restart does the same", mount, shown)
		r.Action = Restart
	case SyncExec:
		m.warn("no-effect", w.Position("action"), nothing+"only the command is run", mount, shown)
		r.Action = Exec
	default:
		m.warn("no-effect", w.Position("action"), nothing+"the rule has no effect", mount, shown)
		return false
	}
	return true
}

// adviseAbout warns of a rule that matches nothing, or nothing yet.
func (m *maker) adviseAbout(r *Rule, w project.Watch) {
	rel, ok := below(r.Path, r.context)
	switch {
	case !exists(r.Path):
		m.warn("missing-file", w.Position("path"), "there is nothing at %s; it is watched once it is there", m.shown(r.Path))
	case ok && rel != here && r.leftOut.matchAll(rel):
		m.warn("no-effect", w.Position("path"), "the .dockerignore of service %s leaves out all of %s, so that the rule has no effect", r.Service, m.shown(r.Path))
	}
}
