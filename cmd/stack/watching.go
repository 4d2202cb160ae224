package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/cmd/stack/internal/syncing"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/feed"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
	"stackrun.dev/stack/watch/poll"
	"stackrun.dev/stack/watch/rules"
	watchsession "stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// watching carries out what the rules of a project's services ask for when files change, while the project runs.
type watching struct {
	*session
	about     wished
	reactions *reactions
	flags     watchFlags
	shown     func(service string) bool // what its containers write is on the screen anyway

	lines  herald
	failed chan struct{} // closed when nothing can be watched any more, which was told
	fails  sync.Once

	mu      sync.Mutex
	project *project.Project // as it was read last
	wanted  rules.Options    // without services: which rules count
	rules   []*rules.Rule
	said    map[string]bool // warnings that were printed
	up      context.Context // the project is up until then; nil: it is not yet
	at      *lookout        // nil: there is nothing to watch
}

// lookout is a session with what it works on.
type lookout struct {
	files    *tree.Tree
	services *syncing.Services
	session  *watchsession.Session
	care     *aftercare
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// errNothingToWatch is for who asks for it explicitly.
var errNothingToWatch = usageError{errors.New("there is nothing to watch: none of the services has a develop.watch, a build or an x-stack on_change;\n  write what is to happen when which files change, for example\n    develop: {watch: [{action: sync, path: ./src, target: /app}]}")}

func (s *session) newWatching(about wished, flags watchFlags) *watching {
	w := &watching{session: s, about: about, flags: flags, project: about.project, failed: make(chan struct{}), said: make(map[string]bool)}
	w.shown = func(string) bool { return false }
	w.reactions = &reactions{session: s, up: about.plan, began: about.began, quiet: about.flags.quietBuild, prune: flags.prune}
	w.reactions.turns = &turns{
		lock: s.patiently, wish: func() *desired.Project { _, d := w.reactions.wish(); return d }, told: w.waits,
	}
	return w
}

// prepare begins to look at files, so that no change is missed while the project comes up. It reports whether there is something
// to watch.
func (w *watching) prepare(ctx context.Context, wanted rules.Options) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = wanted
	err := untilInterrupted(ctx, w.look(ctx, w.project))
	return w.at != nil, err
}

// begin carries out what files ask for from now on.
func (w *watching) begin(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	progress, err := view.NewProgress(w.linesOf(), "watch", w.err, view.Style{})
	if err != nil {
		return err
	}
	style, err := w.style(w.err)
	if err != nil {
		return err
	}
	w.reactions.progress, w.up = progress, ctx
	w.lines.begin(view.NewChanges(w.linesOf(), w.about.project.Dir, w.err, style))
	if w.at != nil {
		w.run()
	}
	return nil
}

// update takes in what the project's files say by now. A mistake is told, and the rules that were known go on.
func (w *watching) update(p *project.Project) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.look(w.up, p); err != nil && w.up.Err() == nil {
		w.fail(err)
	}
}

// toggle switches the rules of develop.watch and the like on or off, and returns whether they are on. It ends soon when ctx does.
func (w *watching) toggle(ctx context.Context) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.wanted
	on := !before.Develop
	w.wanted.Develop, w.wanted.Dockerfiles = on, on
	err := w.look(ctx, w.project)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		w.fail(err)
	case on && w.at == nil:
		w.fail(errNothingToWatch)
	default:
		if w.at == nil {
			w.lines.text("watching no longer")
		}
		return on
	}
	w.wanted = before
	return before.Develop
}

// develops says that files are watched because somebody has asked for it, and not for on_change alone.
func (w *watching) develops() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at != nil && w.wanted.Develop
}

// look makes the rules of the project, and watches what they are about: nothing if ctx ends meanwhile. w.mu is held, as in all
// that follows.
func (w *watching) look(ctx context.Context, p *project.Project) error {
	list, err := w.rulesOf(p)
	if err != nil {
		return err
	}
	same := slices.Equal(described(list), described(w.rules))
	w.project, w.rules = p, list
	switch {
	case len(list) == 0:
		w.close()
		return nil
	case w.at == nil:
		w.open()
		if err := w.watch(ctx); err != nil {
			return err
		}
		if w.up != nil {
			w.run()
		}
		return nil
	case same:
		return nil
	}
	if err := w.watch(ctx); err != nil {
		return err
	}
	w.at.session.Update(list)
	if w.up != nil {
		w.summary()
	}
	return nil
}

func (w *watching) rulesOf(p *project.Project) ([]*rules.Rule, error) {
	about := wished{project: p, plan: w.about.plan}
	o := w.wanted
	if o.Services = about.concerned(); len(o.Services) == 0 || !o.Develop && !o.OnChange {
		return nil, nil
	}
	list, warnings, err := rules.Of(p, o)
	for _, warning := range warnings {
		w.warnOnce(warning)
	}
	return list, err
}

func (w *watching) warnOnce(warning project.Warning) {
	if text := warning.String(); !w.said[text] {
		w.said[text] = true
		_ = w.warn([]project.Warning{warning})
	}
}

// open makes what looks at files.
func (w *watching) open() {
	var source watch.Source
	if every := w.flags.poll.every; every > 0 {
		source = poll.New(every)
	} else {
		source = fsnotify.Open(w.told)
	}
	at := &lookout{files: tree.Open(source, tree.Options{Told: w.told})}
	at.services = syncing.New(w.Engine, syncing.Options{
		Project: w.about.desired.Name, Restart: w.reactions.Restart, Rebuild: w.reactions.Rebuild,
		Renewed: func(service string) { at.session.Renewed(service) }, Told: w.told, Output: w.output,
	})
	at.care = w.newAftercare(w.about.desired.Name, &w.lines, w.reactions, w.shown)
	at.session = watchsession.New(at.files, at.services, watchsession.Options{Report: func(r watchsession.Report) {
		w.report(r)
		at.care.did(r)
	}})
	at.session.Update(w.rules)
	w.at = at
}

// watch has the tree look at what the rules are about. The session does so, too, but not before it runs. When ctx ends it, nothing
// is looked at any more. What else goes wrong is told.
func (w *watching) watch(ctx context.Context) error {
	err := w.at.files.Watch(ctx, rules.Roots(w.rules))
	switch {
	case err != nil && ctx.Err() != nil: // what is known is only a part
		w.close()
		return err
	case err != nil:
		w.told(err)
	}
	return nil
}

// run begins to carry out.
func (w *watching) run() {
	at := w.at
	ctx, cancel := context.WithCancel(w.up)
	at.cancel = cancel
	w.summary()
	at.running.Go(func() { at.care.run(ctx) })
	at.running.Go(func() { at.services.Run(ctx) })
	at.running.Go(func() {
		if err := at.session.Run(ctx); err != nil && ctx.Err() == nil {
			w.told(err)
			w.fails.Do(func() { close(w.failed) })
		}
	})
}

// takenDown is closed when somebody takes the project down, until the context is done.
func (w *watching) takenDown(ctx context.Context) <-chan struct{} {
	name, out := w.about.desired.Name, make(chan struct{})
	intent := w.intent(ctx, name, w.about.began)
	stream := feed.Subscribe(ctx, w.Engine, feed.Containers(name))
	var once sync.Once
	look := func(error) error {
		if _, down := intent(); down {
			once.Do(func() { close(out) })
		}
		return nil
	}
	go func() {
		_ = look(nil) // it may be down by now
		stream.Run(func(m events.Message) {
			if m.Action == events.ActionDestroy {
				_ = look(nil)
			}
		}, look)
	}()
	return out
}

// end carries nothing out any more. What is under way is given up.
func (w *watching) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.close()
	w.rules, w.wanted = nil, rules.Options{}
}

func (w *watching) close() {
	at := w.at
	if at == nil {
		return
	}
	w.at = nil
	if at.cancel != nil {
		at.cancel()
		at.running.Wait()
	}
	if err := at.files.Close(); err != nil {
		w.told(err)
	}
}

// fail tells a mistake in the rules.
func (w *watching) fail(err error) {
	style, _ := w.style(w.err)
	view.Problems(w.err, style, problems(exitBadProject, err))
}

// told tells what goes wrong beside the actions.
func (w *watching) told(err error) {
	w.lines.tell(func(c *view.Changes) { c.Warn(err.Error()) })
}

// summary says what is watched.
func (w *watching) summary() {
	files, dirs := 0, 0
	for _, root := range rules.Roots(w.rules) {
		w.at.files.Each(root.Path, func(_ string, e tree.Entry) bool {
			if e.Kind == tree.Dir {
				dirs++
			} else if e.Kind != tree.None {
				files++
			}
			return true
		})
	}
	services := view.Count(len(servicesWatched(w.rules)), "service")
	w.lines.text(fmt.Sprintf("watching %s, %s in %s", services, view.Count(files, "file"), view.Count(dirs, "folder")))
}
