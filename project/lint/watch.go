package lint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

var needlessSync = Rule{
	Name:    "needless-sync",
	Summary: "a rule of develop.watch that copies to where a bind mount is",
	Why:     "it has no effect: the mount shows the files already, or they would be copied onto this machine",
	Bad:     "services:\n  web:\n    image: web:1.4\n    volumes: [.:/app]\n    develop:\n      watch: [{path: ., action: sync, target: /app}]\n",
	Good:    "services:\n  web:\n    image: web:1.4\n    volumes: [.:/app]\n    x-stack: {on_change: restart}\n",
	check: func(l *linter) {
		for _, name := range l.names {
			for _, w := range l.Watches(name) {
				mount, shown, covered := w.Covered()
				switch {
				case !w.Copies() || !covered:
				case shown:
					l.add(w.Mistake(fmt.Sprintf("the bind mount at %s shows these files already", mount.Target),
						"remove the rule; what is to be done when they change can stand in x-stack.on_change", "action"))
				default:
					l.add(w.Mistake(fmt.Sprintf("%s is in the bind mount at %s: to copy there would change the files of this machine", w.Destination(), mount.Target),
						"choose another target, or remove the mount", "target"))
				}
			}
		}
	},
}

var missingWatchPath = Rule{
	Name:    "missing-watch-path",
	Summary: "a path of develop.watch or on_change at which there is nothing",
	Why:     "nothing happens when something else changes than what is named; a path that comes later is watched from then on",
	Bad:     "services:\n  web:\n    image: web:1.4\n    develop:\n      watch: [{path: ./wbe, action: sync, target: /app}]\n",
	Good:    "services:\n  web:\n    image: web:1.4\n    develop:\n      watch: [{path: ./web, action: sync, target: /app}]\n",
	check: func(l *linter) {
		for _, name := range l.names {
			for _, w := range l.Watches(name) {
				if missing(w.Path) {
					l.add(w.Mistake("there is nothing at "+l.fromProject(w.Path), "create it, or name another path", "path"))
				}
			}
			l.missingOnChangePaths(name)
		}
	},
}

var mountedFile = Rule{
	Name:    "mounted-file",
	Summary: "a mounted file of which a signal or a command tells that it has changed",
	Why:     "many editors save by putting another file in its place, and a running container sees the old one until it is restarted",
	Bad:     "services:\n  web:\n    image: web:1.4\n    volumes: [./password.txt:/run/web/password.txt]\n    x-stack: {on_change: {signal: SIGHUP}}\n",
	Good:    "services:\n  web:\n    image: web:1.4\n    volumes: [./web:/run/web]\n    x-stack: {on_change: {signal: SIGHUP}}\n",
	check: func(l *linter) {
		for _, name := range l.names {
			stays := func(c project.OnChange) bool { return !c.Restart }
			for i, m := range l.all[name].Volumes {
				if m.Type == types.VolumeTypeBind && isFile(m.Source) && slices.ContainsFunc(l.OnChange(name), stays) {
					l.find(l.fromProject(project.RealPath(m.Source))+" is mounted by itself", "mount its folder, or write on_change: restart", "services", name, "volumes", strconv.Itoa(i))
				}
			}
		}
	},
}

// missingOnChangePaths finds paths of on_change that have no wildcards and are in no bind mount of the service.
func (l *linter) missingOnChangePaths(service string) {
	var sources []string
	for _, m := range l.all[service].Volumes {
		if m.Type == types.VolumeTypeBind {
			sources = append(sources, m.Source)
		}
	}
	for _, c := range l.OnChange(service) {
		for j, path := range c.Paths {
			if len(sources) == 0 || strings.ContainsAny(path, `*?[\!`) || slices.ContainsFunc(sources, func(source string) bool { return has(source, path) }) {
				continue
			}
			l.add(c.Mistake(fmt.Sprintf("no bind mount of service %s has %s", service, path), "create it, or name another path", "paths", strconv.Itoa(j)))
		}
	}
}

// has says whether the mounted directory has the path, or is a file of that name.
func has(source, path string) bool {
	return !missing(filepath.Join(source, path)) || filepath.Base(source) == path && !missing(source)
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// fromProject is a path as seen from the project's folder, if it is in there.
func (l *linter) fromProject(path string) string {
	if rel, err := filepath.Rel(project.RealPath(l.Dir), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
