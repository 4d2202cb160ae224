package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch"
)

// wisher loads a project again whenever its files change, and makes a wish of what it finds.
type wisher struct {
	name   string // the project's, which stays
	load   func(context.Context) (*project.Project, *desired.Project, error)
	files  *watch.Watcher
	told   func(*project.Project, *desired.Project, error) // of what was loaded, before the wish. May be nil
	causes func(cause, *desired.Project)                   // why a wish is made, before it is; nil: what was loaded is a mistake. May be nil
	cannot func(error)                                     // some changes will not be seen
}

// cause is which files have changed, and when that was first noticed.
type cause struct {
	paths []string
	since time.Time
}

// run sends wishes until the context is done.
func (w *wisher) run(ctx context.Context, wishes chan<- convergence.Wish) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.files.Changed():
		}
		wish := w.wish(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case wishes <- wish:
		}
	}
}

// wish loads the project now.
func (w *wisher) wish(ctx context.Context) convergence.Wish {
	began := time.Now()
	var why cause
	if w.causes != nil {
		why.paths, why.since = w.files.Which() // what changes from now on is the cause of the next wish
	}
	p, d, err := w.read(ctx)
	if ctx.Err() != nil {
		return convergence.Wish{Err: ctx.Err()}
	}
	if err == nil {
		w.follow(p, began)
	} else {
		p, d = nil, nil
	}
	if w.causes != nil {
		w.causes(why, d)
	}
	if w.told != nil {
		w.told(p, d, err)
	}
	if err != nil {
		return convergence.Wish{Err: err}
	}
	return convergence.Wish{Desired: d}
}

// read is load for this project only. A fault of ours is an error, because the process may keep other projects, too.
func (w *wisher) read(ctx context.Context) (p *project.Project, d *desired.Project, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			slog.Error("fault while reading a project", "project", w.name, "fault", fault, "stack", string(debug.Stack()))
			err = fmt.Errorf("fault of this program: %v", fault)
		}
	}()
	p, d, err = w.load(ctx)
	if err == nil && d.Name != w.name {
		err = fmt.Errorf("the project of these files is called %s now; stack -p %s down takes the old one down", d.Name, w.name)
	}
	return p, d, err
}

// follow watches the project's files, as they were read at the given time.
func (w *wisher) follow(p *project.Project, read time.Time) {
	if err := w.files.Files(filesOf(p), read); err != nil && w.cannot != nil {
		w.cannot(err)
	}
}

// filesOf are the files whose content decides about the project's containers, and those which would if they were there.
func filesOf(p *project.Project) []string {
	out := slices.Concat(p.Paths(), defaultFiles(p.Dir))
	for _, c := range p.Configs {
		out = append(out, types.FileObjectConfig(c).File)
	}
	for _, s := range p.Secrets {
		out = append(out, types.FileObjectConfig(s).File)
	}
	out = slices.DeleteFunc(out, func(path string) bool { return !filepath.IsAbs(path) })
	slices.Sort(out)
	return slices.Compact(out)
}

// defaultFiles are those that a project in the directory is looked for in, beside what it names itself.
func defaultFiles(dir string) []string {
	out := []string{filepath.Join(dir, ".env")}
	for _, name := range []string{"compose", "docker-compose", "compose.override", "docker-compose.override"} {
		out = append(out, filepath.Join(dir, name+".yaml"), filepath.Join(dir, name+".yml"))
	}
	return out
}
