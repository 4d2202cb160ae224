package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// follower prints what containers of a project write until none of them runs any more. Containers that are started
// later are followed from their start. It is driven by the engine's events.
type follower struct {
	session *session
	scope   scope
	which   which
	request container.LogsOptions
	sink    *view.Logs
	quiet   func(service string) bool // whose output is not printed; may be nil

	// began is since when ends count: a container that had exited before is not announced. The zero value leaves out all
	// that do not run at first.
	began time.Time
	// exited is called when a container has exited for good and everything that it wrote was printed. What it returns,
	// if not nil, ends the follower. It may be nil.
	exited func(ctx context.Context, m member, code int) error

	// up ends when the project has been brought up. Until then only containers that start are followed: those that run already may
	// be about to be replaced. It may be nil: that has been done before.
	up <-chan struct{}

	// also says which other services are followed by now. It may be nil.
	also func(service string) bool
	// more is asked when nothing runs any more, and after each event then: whether to wait all the same, because something is about
	// to be started. It may be nil: there is not.
	more func(context.Context) bool

	messages <-chan events.Message // set by run unless the caller has subscribed already
	failed   <-chan error
	heard    time.Time // when it was begun to listen
	deaf     bool      // the engine has gone, and nobody has listened to another one yet

	active  map[string]*followed // by ID
	waiting map[string]bool      // about to be restarted by their policy
	cut     map[string]int       // whose log has broken off, and how often since the engine was there last
	printed map[string]position  // up to where the log of a container was printed, or need not be
	known   map[string]bool      // containers that were followed or listed
	over    map[string]string    // when those exited whose exit was taken in, as the engine writes it
	ended   chan *followed
	answers chan bool // of more
	stirred bool      // something has happened since more was asked
}

// followed is one run of one container.
type followed struct {
	member member
	after  position // what is up to there was printed before
	last   position // of what was read
	engine int      // see life.instance
	again  bool     // it was started again while the log of the run before was still being read
	err    error
}

// subscribe begins to listen, so that nothing that happens from now on is missed.
func (f *follower) subscribe(ctx context.Context) {
	f.heard = f.session.now()
	f.messages, f.failed = f.session.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("label", desired.LabelProject+"="+f.scope.name),
	)})
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f.active, f.waiting, f.ended = map[string]*followed{}, map[string]bool{}, make(chan *followed)
	f.printed, f.known, f.cut, f.over = map[string]position{}, map[string]bool{}, map[string]int{}, map[string]string{}
	defer func() {
		cancel()
		for range f.active {
			<-f.ended
		}
	}()
	if f.messages == nil {
		f.subscribe(ctx)
	}
	if f.up == nil {
		if err := f.list(ctx); err != nil {
			return err
		}
	}
	return f.loop(ctx)
}

// list follows what is there and is not followed yet.
func (f *follower) list(ctx context.Context) error {
	from := f.began
	if from.IsZero() {
		from = f.session.now()
	}
	var list []member
	err := f.session.persist(ctx, func() (err error) {
		list, err = f.session.members(ctx, f.scope, f.which)
		return err
	})
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m member) bool { return f.known[m.ID] })
	for _, m := range list {
		f.sink.Add(m.label())
		f.printed[m.ID] = position{at: from}
	}
	for _, m := range list {
		if m.State != container.StateCreated {
			f.follow(ctx, m, f.request, position{})
		}
	}
	return nil
}

func (f *follower) loop(ctx context.Context) error {
	f.answers, f.stirred = make(chan bool, 1), true
	for asking := false; ; {
		if f.idle() && f.up == nil {
			if f.more == nil {
				return nil
			}
			if f.stirred && !asking {
				asking, f.stirred = true, false
				go func() { f.answers <- f.more(ctx) }()
			}
		}
		select {
		case <-f.up:
			f.up, f.stirred = nil, true
			if err := f.begin(ctx); err != nil {
				return err
			}
		case more := <-f.answers:
			asking = false
			if f.idle() && !f.stirred && !more {
				return nil
			}
		case e := <-f.ended:
			if err := f.end(ctx, e); err != nil {
				return err
			}
		case m := <-f.messages:
			f.event(ctx, m)
		case err := <-f.failed:
			if err := f.lost(ctx, err); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// idle says that there is nothing that is followed.
func (f *follower) idle() bool { return len(f.active)+len(f.waiting)+len(f.cut) == 0 }

// begin follows what is there when the project has been brought up.
func (f *follower) begin(ctx context.Context) error {
	if err := f.list(ctx); err != nil || !f.deaf {
		return err
	}
	return f.rejoin(ctx)
}

// end takes in that the log of one run of a container is over.
func (f *follower) end(ctx context.Context, e *followed) error {
	f.stirred = true
	delete(f.active, e.member.ID)
	if e.last.beyond(f.printed[e.member.ID]) {
		f.printed[e.member.ID], f.cut[e.member.ID] = e.last, 0
	}
	return f.finish(ctx, e)
}

// follow reads the container's log, or waits for its end only, on a goroutine of its own.
func (f *follower) follow(ctx context.Context, m member, request container.LogsOptions, after position) {
	e := &followed{member: m, after: after, last: position{at: after.at}, engine: f.session.life.instance()}
	f.active[m.ID], f.known[m.ID] = e, true
	delete(f.waiting, m.ID)
	read := f.read
	if f.quiet != nil && f.quiet(m.service) {
		read = f.await
	}
	go func() {
		e.err = read(ctx, e, request)
		f.ended <- e
	}()
}

func (f *follower) read(ctx context.Context, e *followed, request container.LogsOptions) error {
	label := e.member.label()
	for entry, err := range f.session.ContainerLogs(ctx, e.member.ID, request) {
		if err != nil {
			return err
		}
		if e.isNew(entry.Time) {
			f.sink.Line(label, entry.Stream, entry.Time, entry.Line)
		}
	}
	f.sink.End(label)
	return nil
}

func (f *follower) await(ctx context.Context, e *followed, _ container.LogsOptions) error {
	done, failed := f.session.ContainerWait(ctx, e.member.ID, container.WaitConditionNotRunning)
	select {
	case <-done:
		return nil
	case err := <-failed:
		return err
	}
}

// finish decides what the end of a log means: the container has exited for good, comes back, or runs again already, or it is the
// engine that has ended.
func (f *follower) finish(ctx context.Context, e *followed) error {
	state, err := f.session.ContainerInspect(ctx, e.member.ID)
	cuts := f.cut[e.member.ID]
	delete(f.cut, e.member.ID)
	switch {
	case errors.Is(e.err, engine.ErrNotFound), errors.Is(err, engine.ErrNotFound):
		return nil
	case errors.Is(e.err, engine.ErrConflict):
		return nil // Docker gives no log of what is about to be removed
	case e.err != nil || err != nil:
		return f.brokenOff(ctx, e, cuts, err)
	case state.State.Running && !state.State.Restarting, e.again, e.engine != f.session.life.instance():
		f.followOn(ctx, e.member)
		return nil
	case state.State.Restarting:
		f.waiting[e.member.ID] = true
		return nil
	}
	f.over[e.member.ID] = state.State.FinishedAt
	switch {
	case f.exited != nil && (e.member.State != container.StateExited || f.endedSince(state.State)):
		return f.exited(ctx, e.member, state.State.ExitCode)
	}
	return nil
}

func (f *follower) endedSince(s *container.State) bool {
	at, err := time.Parse(time.RFC3339Nano, s.FinishedAt)
	return err == nil && !f.began.IsZero() && !at.Before(f.began)
}

// followOn follows what the container wrote after what was printed.
func (f *follower) followOn(ctx context.Context, m member) {
	f.follow(ctx, m, f.since(m.ID), f.printed[m.ID])
}

// since is the request for what the container wrote after what was printed, and the last of that. Of a container that was not there
// before it is everything.
func (f *follower) since(id string) container.LogsOptions {
	request := f.request
	request.Tail, request.Since = "all", ""
	if p, ok := f.printed[id]; ok {
		request.Since = unixTime(p.at)
	}
	return request
}

// concerns says whether the container is one of those that are followed.
func (f *follower) concerns(m member) bool {
	return f.which.meant(m) || !m.oneOff && f.also != nil && f.also(m.service)
}

// event follows containers that start.
func (f *follower) event(ctx context.Context, message events.Message) {
	m := memberOf(message)
	f.stirred = true
	if !f.concerns(m) {
		return
	}
	switch message.Action {
	case events.ActionStart:
		if e, ok := f.active[m.ID]; ok {
			e.again = true
			return
		}
		if f.up != nil && !f.known[m.ID] { // what it wrote before the project was brought up is of no interest
			f.printed[m.ID] = position{at: f.began}
		}
		f.followOn(ctx, m)
	case events.ActionDestroy, events.ActionStop:
		delete(f.waiting, m.ID)
	}
}

// memberOf is the container that a message is about.
func memberOf(message events.Message) member {
	attributes := message.Actor.Attributes
	return asMember(container.Summary{
		ID: message.Actor.ID, Names: []string{"/" + attributes["name"]}, Labels: attributes,
		Image: attributes["image"], State: container.StateRunning,
	})
}

// announceExit prints how a container ended.
func (f *follower) announceExit(_ context.Context, m member, code int) error {
	f.sink.Note(m.label(), fmt.Sprintf("exited with code %d", code))
	return nil
}
