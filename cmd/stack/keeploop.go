package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/keep"
	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/record"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
)

// keeperOf opens the keeper that lives in the process of the engine.
func (a *app) keeperOf(t launch.Target, kept func(int)) (launch.Guest, error) {
	return keep.Open(keep.Dir(t.Root), func(ctx context.Context, e keep.Entry, rebooted bool, report func(convergence.Status)) error {
		var up keptUp
		if err := json.Unmarshal(e.Up, &up); err != nil {
			return fmt.Errorf("cannot read how project %s is kept: %w", e.Project, err)
		}
		log := slog.With("project", e.Project)
		own := a.onBehalf(t, e, up, log)
		return own.with(ctx, func(s *session) error {
			l := &keepLoop{session: s, entry: e, up: up, log: log}
			return l.run(ctx, rebooted, report)
		})
	}, kept)
}

// onBehalf is the app of whoever had the project kept, as far as its files and its environment go. What it prints is logged.
func (a *app) onBehalf(t launch.Target, e keep.Entry, up keptUp, log *slog.Logger) *app {
	env := environment(e.Env)
	return &app{
		in: strings.NewReader(""), out: io.Discard, err: logLines{log}, environ: e.Env, now: a.now,
		getenv: func(name string) string { return env[name] }, workDir: e.Dir,
		global: up.globals(t.Host), commandLine: "the engine's keeper", sharedLocks: a.sharedLocks,
	}
}

// logLines logs what is printed.
type logLines struct{ log *slog.Logger }

// Write implements io.Writer.
func (l logLines) Write(text []byte) (int, error) {
	l.log.Info(strings.TrimSpace(view.Clean(string(text))))
	return len(text), nil
}

// keepLoop keeps one project converged in the engine's process.
type keepLoop struct {
	*session
	entry keep.Entry
	up    keptUp
	log   *slog.Logger
}

func (l *keepLoop) run(ctx context.Context, rebooted bool, report func(convergence.Status)) error {
	files := watch.New(fsnotify.Open(func(err error) { l.log.Warn(err.Error()) }))
	defer func() { _ = files.Close() }()
	w := &wisher{name: l.entry.Project, files: files, load: l.load(l.app), told: l.told, cannot: func(err error) { l.log.Warn(err.Error()) }}
	if err := files.Files(l.startFiles(), time.Now()); err != nil {
		l.log.Warn(err.Error())
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	wishes := make(chan convergence.Wish, 1)
	wishes <- w.wish(ctx)
	w.load = l.load(l.another())
	reading.Go(func() { w.run(ctx, wishes) })
	progress, err := l.progress("up")
	if err != nil {
		return err
	}
	o := convergence.KeepOptions{
		Options: l.options(progress), Start: rebooted, Status: report, Intent: l.intent(ctx, l.entry.Project, l.entry.Since),
	}
	o.Up, o.Lock, o.Before = l.up.options(), l.ownLock, func(first *desired.Project) *desired.Project { return l.before(ctx, first) }
	l.remember(ctx, &o.Options, l.entry.Project, func(text string) { l.log.Warn(text) })
	return convergence.Keep(ctx, l.Engine, wishes, o, l.event)
}

// before is what the project was last brought to, if the first wish is something else: its files may have changed since, as while
// there was no engine.
func (l *keepLoop) before(ctx context.Context, first *desired.Project) *desired.Project {
	store, err := l.records(ctx, l.entry.Project)
	if err != nil {
		return nil
	}
	last, err := store.Current()
	if err != nil || last == nil || last.Grants(record.Of(convergence.Outcome{Desired: first, Up: l.up.options()}).Wish()) {
		return nil // it is the same, as far as anybody knows
	}
	return last.Desired
}

// ownLock is the project's lock without asking for it that the keeper rests: it is the keeper.
func (l *keepLoop) ownLock(ctx context.Context, name string) (func(), error) {
	lock, err := l.lock(ctx, name, func(text string) { l.log.Info(text) })
	if err != nil {
		return nil, err
	}
	return func() { _ = lock.Release() }, nil
}

// load reads the project as the command did that had it kept.
func (l *keepLoop) load(by *app) func(context.Context) (*project.Project, *desired.Project, error) {
	return func(ctx context.Context) (*project.Project, *desired.Project, error) {
		return by.wanted(ctx, l.up.Services, l.up.Scale)
	}
}

func (l *keepLoop) told(_ *project.Project, _ *desired.Project, err error) {
	if err != nil {
		l.log.Error("the project is left as it is until its files are mended", "error", err)
	}
}

// startFiles are watched as long as the project could not be read.
func (l *keepLoop) startFiles() []string {
	dir := l.entry.Dir
	if l.up.ProjectDir != "" {
		dir = inDir(l.entry.Dir, l.up.ProjectDir)
	}
	out := defaultFiles(dir)
	for _, file := range append(l.up.Files, l.up.EnvFiles...) {
		out = append(out, inDir(l.entry.Dir, file))
	}
	return out
}

func inDir(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// event logs what is done to the project.
func (l *keepLoop) event(e execute.Event) {
	h := e.Operation.Head()
	switch e.Phase {
	case execute.Done:
		if _, gate := e.Operation.(*plan.Gate); !gate {
			l.log.Info(h.ID, "cause", h.Cause)
		}
	case execute.Failed:
		l.log.Error("cannot "+h.ID, "error", e.Err)
	}
}
