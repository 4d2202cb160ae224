package convergence

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// Wish is what a project is to be from now on, or why that cannot be told: then what was wished before goes on.
type Wish struct {
	Desired *desired.Project
	Err     error
}

// KeepOptions are the choices of Keep. Of Options.Up, what is meant for once (forcing, building, pulling anew) has no effect.
// Options.Changing and Options.Converged are for wishes that are news: whoever brought the project up knows of the first one.
type KeepOptions struct {
	Options

	// Start says that the first round also starts what has exited, as bringing the project up does.
	Start bool

	// Before says of the first wish what the project was brought to before, if that is something else. Then that wish is news, as
	// those after it are. May be nil: the project was brought up with it.
	Before func(first *desired.Project) *desired.Project

	// Intent says, while the lock is held, what people have done since with other commands: the services that they stopped
	// and that are to be left alone, and whether they took the project down. nil: nothing.
	Intent func() (stopped []string, down bool)

	// Status is told whenever it changes, one at a time. It must not block for long. May be nil.
	Status func(Status)

	// Round is told of the end of each round, one at a time. It must not block for long. May be nil.
	Round func(Round)

	// Look asks for a look at the project now. What it is then is answered: after a round, or at once while something that has
	// failed is to be tried again later. The answers must not block. May be nil.
	Look <-chan chan<- Status
}

// Round is what has come of one look at a project that is kept.
type Round struct {
	Wish    *desired.Project // as it was wished: that of a Wish
	News    bool             // it had not come true yet
	GivenUp bool             // for a newer wish, or because of the end
	Err     error            // why the project is not as wished; nil: it is, or it was given up
}

// Status says how a project that is kept converged fares.
type Status struct {
	Converged bool      `json:"converged"`        // it was as wished when it was last looked at
	Waits     []string  `json:"waits,omitempty"`  // what is waited for, for example "x-db-1 is to become healthy"
	Err       string    `json:"error,omitempty"`  // why the last round failed
	Broken    string    `json:"broken,omitempty"` // what is wrong with the last wish, so that the one before counts
	Since     time.Time `json:"since"`            // when Converged, Err or Broken last changed
}

// ErrDown ends Keep because somebody has taken the project down.
var ErrDown = errors.New("the project was taken down")

// ErrGivenUp is why an operation was not done whose round was given up, because of a newer wish or because of the end.
var ErrGivenUp = errors.New("given up, because something else is wished by now")

// Keep keeps a project as wished until the context is done: it looks at it whenever the engine reports that something
// happened to it, whenever there is a new wish, and when the time has come to try again what failed.
//
// What has disappeared is made again, what differs is changed. What is there and has exited is left alone: it has done its
// work, its restart policy deals with it, or somebody has stopped it. Containers of services with RestartUnhealthy are
// restarted when they are unhealthy, and those that depend with restart: true on what the engine has started again.
//
// A round is given up for a newer wish and at the end. What the sink is told of operations that were not done because of that has
// the error ErrGivenUp: nothing has failed.
//
// A panic of a round is one of Keep, so that its caller can recover from it.
func Keep(ctx context.Context, e engine.Engine, wishes <-chan Wish, o KeepOptions, sink execute.Sink) error {
	k := newKeeper(e, o, sink)
	defer k.close()
	for {
		k.begin(ctx) // a round, if one is due and none is under way
		select {
		case <-ctx.Done():
			return ctx.Err()
		case w := <-wishes:
			k.wished(w)
		case m := <-k.messages:
			k.heard(m)
		case err := <-k.lost:
			k.deaf(err)
		case asker := <-o.Look:
			k.dirty = true
			k.asked = append(k.asked, asker)
		case <-k.alarm.C:
			k.dirty = true
		case out := <-k.rounds:
			if err := k.over(out); err != nil {
				return err
			}
		}
	}
}

// keeper is what Keep knows between rounds. Only Keep's own goroutine uses it; a round works on copies.
type keeper struct {
	engine  engine.Engine
	options KeepOptions
	sink    execute.Sink
	board   *board

	wish    *desired.Project // nil before the first one
	given   desired.Given    // what its providers have said
	fetched map[string]bool  // images that need not be pulled or built again
	news    bool             // the wish is not the first one and has not come true yet
	start   bool             // the next round is the first one of KeepOptions.Start

	messages <-chan events.Message
	lost     <-chan error // nil while nobody listens
	unlisten context.CancelFunc
	relisten retry

	dirty  bool            // something may have happened since the last observation
	asked  []chan<- Status // who waits for the end of the next round
	asking []chan<- Status // of the round that is under way
	failed retry
	ills   map[string]*illness // by the container's name
	alarm  *time.Timer         // at the earliest of all times to try again

	rounds chan outcome
	cancel context.CancelFunc // of the round that is under way, else nil
}

func newKeeper(e engine.Engine, o KeepOptions, sink execute.Sink) *keeper {
	k := &keeper{
		engine: e, options: o, sink: sink, board: newBoard(o.Status), start: o.Start,
		ills: make(map[string]*illness), alarm: time.NewTimer(0), rounds: make(chan outcome, 1),
	}
	k.options.Up = lasting(o.Up)
	k.alarm.Stop()
	return k
}

// lasting are the options without what is meant for the moment in which they were given.
func lasting(o plan.UpOptions) plan.UpOptions {
	o.Build, o.Wait, o.NoStart, o.RecreateVolumes, o.Now = false, false, false, nil, time.Time{}
	if o.Recreate == plan.RecreateForce {
		o.Recreate = plan.RecreateDiverged
	}
	if o.RecreateDeps == plan.RecreateForce {
		o.RecreateDeps = plan.RecreateDiverged
	}
	if o.Pull == desired.PullAlways {
		o.Pull = ""
	}
	return o
}

func (k *keeper) close() {
	if k.cancel != nil {
		k.cancel()
		<-k.rounds
	}
	if k.unlisten != nil {
		k.unlisten()
	}
	k.alarm.Stop()
}

// wished takes a wish on. A round for the old one is given up: it may wait for something that nobody wants any more.
func (k *keeper) wished(w Wish) {
	if w.Err != nil {
		k.board.broken(w.Err)
		return
	}
	before := k.wish
	if before == nil && k.options.Before != nil {
		before = k.options.Before(w.Desired)
	}
	if before == nil { // the project was brought up with it
		before, k.given = w.Desired, k.options.Up.Given
	} else {
		k.news = true
		k.given = desired.Given{} // providers know whether there is something to do
	}
	k.fetched = make(map[string]bool)
	for ref := range before.Images() {
		k.fetched[ref] = true
	}
	k.wish, k.dirty, k.failed = w.Desired, true, retry{}
	k.board.broken(nil)
	if k.cancel != nil {
		k.cancel()
	}
}

// wakes are the events after which a project may differ from what is wished.
var wakes = map[string]bool{
	"create": true, "start": true, "die": true, "stop": true, "destroy": true, "remove": true, "rename": true, "update": true,
	"health_status": true, "connect": true, "disconnect": true,
}

// heard notes an event that concerns the project. Engines report much else, such as each run of a health check.
func (k *keeper) heard(m events.Message) {
	k.relisten = retry{}
	action, _, _ := strings.Cut(string(m.Action), ":")
	if k.wish == nil || !wakes[action] {
		return
	}
	switch m.Type {
	case events.ContainerEventType:
		k.dirty = k.dirty || m.Actor.Attributes[desired.LabelProject] == k.wish.Name
	case events.NetworkEventType:
		for i := range k.wish.Networks {
			k.dirty = k.dirty || m.Actor.Attributes["name"] == k.wish.Networks[i].Name
		}
	case events.VolumeEventType:
		for i := range k.wish.Volumes {
			k.dirty = k.dirty || m.Actor.ID == k.wish.Volumes[i].Name
		}
	}
}

// deaf notes that the engine's events have ended.
func (k *keeper) deaf(err error) {
	k.unlisten()
	k.messages, k.lost = nil, nil
	k.relisten.again(time.Now())
	if err != nil && !errors.Is(err, io.EOF) {
		k.board.failed(engine.Errorf(engine.ErrUnavailable, "cannot listen to the engine's events: %w", err))
	}
}

// listen subscribes unless that is done or it is too early. What happened before is not told, so a look is due.
func (k *keeper) listen(ctx context.Context, now time.Time) {
	if k.lost != nil || now.Before(k.relisten.at) {
		return
	}
	ctx, k.unlisten = context.WithCancel(ctx)
	k.messages, k.lost = k.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)),
		filters.Arg("type", string(events.NetworkEventType)),
		filters.Arg("type", string(events.VolumeEventType)),
	)})
	k.dirty = true
}

// begin starts a round on a goroutine of its own, so that a wish or the end can interrupt its waits.
func (k *keeper) begin(ctx context.Context) {
	now := time.Now()
	k.listen(ctx, now)
	if k.cancel != nil || k.wish == nil || !k.dirty || now.Before(k.failed.at) {
		if k.cancel == nil && now.Before(k.failed.at) {
			k.asked = k.board.answer(k.asked)
		}
		k.arm(now)
		return
	}
	k.dirty, k.asking, k.asked = false, k.asked, nil
	r := k.round(now)
	ctx, k.cancel = context.WithCancel(ctx)
	go func() { k.rounds <- r.run(ctx) }()
}

// arm sets the alarm to the earliest time at which something is to be tried again. What was due already had its round: a
// container that still is unhealthy then is none of those that are kept.
func (k *keeper) arm(now time.Time) {
	var next time.Time
	at := []time.Time{k.failed.at}
	if k.lost == nil {
		at = append(at, k.relisten.at)
	}
	for _, ill := range k.ills {
		at = append(at, ill.due.at)
	}
	for _, t := range at {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if k.cancel != nil || next.IsZero() {
		k.alarm.Stop()
		return
	}
	k.alarm.Reset(next.Sub(now))
}

// over takes in what a round has found.
func (k *keeper) over(out outcome) error {
	k.cancel()
	k.cancel = nil
	now := time.Now()
	switch {
	case out.fault != "":
		panic(out.fault)
	case out.down:
		return ErrDown
	case out.interrupted:
		k.dirty = true
	case out.err != nil:
		k.dirty = true
		k.failed.again(now)
		k.board.failed(out.err)
	default:
		k.start, k.failed, k.given = false, retry{}, out.given
		k.news = k.news && out.wish != k.wish // another one may have come just now
		k.board.converged()
	}
	if k.options.Round != nil {
		r := Round{Wish: out.wish, News: out.news, GivenUp: out.interrupted}
		if !r.GivenUp {
			r.Err = out.err
		}
		k.options.Round(r)
	}
	k.examine(out, now)
	k.board.wait(k.patience(now))
	if out.interrupted {
		k.asked = append(k.asked, k.asking...)
		k.asking = nil
	}
	k.asking = k.board.answer(k.asking)
	return nil
}

// patience says what the keeper itself waits for.
func (k *keeper) patience(now time.Time) []string {
	var out []string
	for name, ill := range k.ills {
		if ill.due.at.After(now) {
			out = append(out, name+" is unhealthy and is restarted at "+ill.due.at.Format(time.TimeOnly))
		}
	}
	if k.failed.at.After(now) {
		out = append(out, "it is tried again at "+k.failed.at.Format(time.TimeOnly))
	}
	return out
}
