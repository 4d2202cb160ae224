package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/fsnotify"
)

// wished is a project as it was read, and how it is brought up.
type wished struct {
	project *project.Project
	desired *desired.Project
	plan    plan.UpOptions
	flags   upFlags
	began   time.Time // when it was asked for
}

// concerned are the services that were asked for and what they depend on.
func (w *wished) concerned() []string {
	if len(w.plan.Services) == 0 {
		return w.project.ServiceNames()
	}
	selected, err := w.project.Select(w.plan.Services, w.plan.NoDeps)
	if err != nil {
		return w.plan.Services
	}
	return selected.ServiceNames()
}

// stay keeps the project of a command in the foreground as its files say, until it is ended.
type stay struct {
	*session
	first   wished                 // what the command was asked for
	changed func(*project.Project) // told of what the files say by now; set before begin

	wisher *wisher // nil if nothing is watched
	look   chan chan<- convergence.Status
	cancel context.CancelFunc      // ends everything
	let    context.CancelCauseFunc // ends the keeping
	ended  chan struct{}           // closed when it keeps nothing any more
	why    error                   // why that is; set when ended is closed
	work   sync.WaitGroup
	asked  []string // the services that the run was asked for, with what they depend on

	mu      sync.Mutex
	wish    *desired.Project
	project *project.Project
	said    map[string]bool // failures that were printed since the last round that succeeded
	broken  bool            // the files, when they were last read
}

// errOvertaken ends a stay because somebody else has brought the project up since: his wish is the newer one.
var errOvertaken = errors.New("another run has brought it up since")

// prepareStay begins to watch the files, so that no change is missed while the project comes up.
func (s *session) prepareStay(first wished) *stay {
	out := &stay{
		session: s, first: first, look: make(chan chan<- convergence.Status), ended: make(chan struct{}), asked: first.concerned(),
		wish: first.desired, project: first.project, said: map[string]bool{},
	}
	if files := first.project.Files; !slices.Contains(files, "-") && !s.isRemote(files[0]) {
		out.follow()
	} // else there is nothing to read again, or only after a question
	return out
}

// follow watches the project's files.
func (s *stay) follow() {
	files := watch.New(fsnotify.Open(s.polled))
	first := s.first
	s.wisher = &wisher{name: first.desired.Name, files: files, told: s.told, cannot: s.cannot, load: func(ctx context.Context) (*project.Project, *desired.Project, error) {
		return s.another().wanted(ctx, first.plan.Services, first.flags.scale)
	}}
	s.wisher.follow(first.project, first.began.Add(-loading))
	_, _ = files.Which() // what was written before that is no change that anybody waits for
}

// loading is longer than reading a project takes.
const loading = time.Second

// begin keeps the project on goroutines of its own.
func (s *stay) begin(ctx context.Context) error {
	progress, err := view.NewProgress(s.linesOf(), "up", s.err, view.Style{})
	if err != nil {
		return err
	}
	news, err := s.tellNews()
	if err != nil {
		return err
	}
	wishes := make(chan convergence.Wish, 1)
	wishes <- convergence.Wish{Desired: s.wish} // before another one can be there
	ctx = s.read(ctx, wishes)
	keeping, let := context.WithCancelCause(ctx)
	s.let = let
	narrator := narrate(keeping, progress)
	o := convergence.KeepOptions{Options: s.options(progress), Status: s.status, Look: s.look}
	o.Up, o.Round = s.first.plan, news.over
	o.OnPlan = func(p *plan.Plan) { news.planned(p); narrator.planned(p) }
	o.Up.Given = s.given
	name := s.first.desired.Name
	s.remember(keeping, &o.Options, name, progress.Text)
	o.Lock = s.unlessOvertaken(s.patiently(func(string) {}))
	o.Intent = s.intent(keeping, name, s.first.began)
	s.work.Go(func() {
		let(s.keepUp(keeping, wishes, o, news.watch(quieten(narrator.event, s.first.flags))))
		s.over(ctx, context.Cause(keeping), progress, wishes)
	})
	return nil
}

// keepUp is convergence.Keep, with a fault of ours as an error: what else the command does goes on.
func (s *stay) keepUp(ctx context.Context, wishes <-chan convergence.Wish, o convergence.KeepOptions, sink execute.Sink) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w, please report this: %v\n%s", execute.ErrFault, fault, debug.Stack())
		}
	}()
	return convergence.Keep(ctx, s.Engine, wishes, o, sink)
}

// readOnly reads the project again when its files change, and leaves what runs as it is.
func (s *stay) readOnly(ctx context.Context) {
	wishes := make(chan convergence.Wish)
	ctx = s.read(ctx, wishes)
	close(s.ended)
	s.work.Go(func() { forgo(ctx, wishes) })
}

// read makes wishes of what the project's files say, until the context that is returned is done.
func (s *stay) read(ctx context.Context, wishes chan<- convergence.Wish) context.Context {
	ctx, s.cancel = context.WithCancel(ctx)
	if w := s.wisher; w != nil {
		s.work.Go(func() { w.run(ctx, wishes) })
	}
	return ctx
}

// over takes in that the project is kept no longer. Whoever wants to know what its files say is still told.
func (s *stay) over(ctx context.Context, why error, progress view.Progress, wishes <-chan convergence.Wish) {
	progress.Close()
	s.why = why
	close(s.ended)
	if errors.Is(why, convergence.ErrDown) || errors.Is(why, errOvertaken) || errors.Is(why, execute.ErrFault) {
		fmt.Fprintf(s.err, "project %s is no longer kept as its files say: %v\n", s.first.desired.Name, why)
	}
	forgo(ctx, wishes)
}

// forgo lets wishes be wishes.
func forgo(ctx context.Context, wishes <-chan convergence.Wish) {
	for {
		select {
		case <-wishes:
		case <-ctx.Done():
			return
		}
	}
}

// linesOf is how progress is shown between the lines of logs: nothing may move there.
func (a *app) linesOf() string {
	switch a.global.progress {
	case "json", "quiet":
		return a.global.progress
	}
	return "plain"
}

// end keeps the project no longer. A round that is under way is given up.
func (s *stay) end() {
	if s.cancel != nil {
		s.cancel()
		s.work.Wait()
	}
	if s.wisher != nil {
		_ = s.wisher.files.Close()
		s.wisher = nil
	}
}

// more says whether there is something to wait for although no container runs that is followed: one that was removed may be
// about to be made again.
func (s *stay) more(ctx context.Context) bool {
	answer := make(chan convergence.Status, 1)
	select {
	case s.look <- answer:
	case <-s.ended:
		return false
	case <-ctx.Done():
		return false
	}
	var status convergence.Status
	select {
	case status = <-answer:
	case <-s.ended:
	case <-ctx.Done():
		return false
	}
	if status.Err != "" {
		return true
	}
	list, err := s.members(ctx, scope{name: s.first.desired.Name}, which{stopped: true})
	if execute.Lost(err) {
		return true // who knows; it is asked again when there is an engine
	}
	return err == nil && slices.ContainsFunc(list, func(m member) bool {
		return s.concerns(m.service) && (m.runs() || m.State == container.StateRestarting)
	})
}

// concerns says whether the project, as it was last read, has the service.
func (s *stay) concerns(service string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, has := s.project.Services[service]
	return has && (len(s.first.plan.Services) == 0 || slices.Contains(s.asked, service))
}

// told takes in what the files say by now. That they are mended is said, because nothing else may come of it.
func (s *stay) told(p *project.Project, d *desired.Project, err error) {
	s.mu.Lock()
	mended := s.broken && err == nil
	s.broken = err != nil
	s.mu.Unlock()
	if mended {
		fmt.Fprintf(s.err, "the files of project %s can be read again\n", s.first.desired.Name)
	}
	if err != nil {
		style, _ := s.style(s.err)
		view.Problems(s.err, style, problems(exitBadProject, err))
		fmt.Fprintf(s.err, "project %s is left as it is until that is mended\n", s.first.desired.Name)
		return
	}
	s.mu.Lock()
	s.project, s.wish = p, d
	s.mu.Unlock()
	s.changed(p)
}

// keeps says that what is missing is made again.
func (s *stay) keeps() bool {
	select {
	case <-s.ended:
		return false
	default:
		return true
	}
}

// latest is what was wished last.
func (s *stay) latest() (*project.Project, *desired.Project) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.project, s.wish
}

func (s *stay) cannot(err error) {
	_ = s.warn([]project.Warning{{Text: "changes of the project's files are not noticed: " + err.Error()}})
}

// polled says that changes of the project's files are noticed later.
func (s *stay) polled(err error) {
	_ = s.warn([]project.Warning{{Text: "changes of the project's files are noticed a little later: " + err.Error()}})
}

// status prints why rounds fail, each reason once until one succeeds.
func (s *stay) status(now convergence.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Err == "" {
		clear(s.said)
		return
	}
	if !s.said[now.Err] {
		s.said[now.Err] = true
		style, _ := s.style(s.err)
		view.Warn(s.err, style, fmt.Sprintf("cannot keep project %s as its files say: %s", s.first.desired.Name, view.Once(now.Err)))
	}
}

// patiently takes the lock for what nobody has asked for, a round or a reaction: whoever works on the project may take the time that
// he likes. say is told who does.
func (s *session) patiently(say func(string)) convergence.Locker {
	patient := *s
	patient.app = s.another()
	patient.global.lockTimeout = patience{}
	return patient.locker(say)
}

// unlessOvertaken takes the lock for a round, unless somebody else has brought the project up since this run did.
func (s *stay) unlessOvertaken(lock convergence.Locker) convergence.Locker {
	return func(ctx context.Context, name string) (func(), error) {
		unlock, err := lock(ctx, name)
		if err != nil {
			return nil, err
		}
		run, key, err := s.placeOf(ctx, name)
		if err != nil {
			unlock()
			return nil, err
		}
		if pid, at := launch.LastUp(run, key); pid != 0 && pid != os.Getpid() && at.After(s.first.began) {
			unlock()
			s.let(fmt.Errorf("%w (process %d)", errOvertaken, pid))
			return nil, errOvertaken
		}
		return unlock, nil
	}
}
