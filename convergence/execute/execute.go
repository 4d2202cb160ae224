package execute

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/internal/dag"
)

// Engine is what carrying out a plan needs of an engine.
type Engine interface {
	engine.System
	engine.Images
	engine.Builds
	engine.Networks
	engine.Volumes
	engine.Containers
	engine.Execs
	engine.Archives
}

// Options are the choices that do not change what is done.
type Options struct {
	Limit int // operations at the same time, waits excepted; 0 is DefaultLimit, negative is no bound

	// BuildContext opens the build context as a tar. nil: buildcontext.Open.
	BuildContext func(*desired.Build) (io.ReadCloser, error)

	// Provide runs a provider's program; say is told how it goes on. nil: it cannot be done.
	Provide func(ctx context.Context, op *plan.RunProvider, say func(string)) (desired.Variables, error)

	// Serve has the model runner fetch and configure a model, and returns where it is served. nil: it cannot be done.
	Serve func(ctx context.Context, op *plan.ServeModel, say func(string)) (endpoint string, err error)

	// Auth gives the registry credentials for an image in the encoded form of Docker's X-Registry-Auth. May be nil.
	Auth func(ref string) string
}

// DefaultLimit bounds how many operations run at the same time.
const DefaultLimit = 64

// Result is what came of a plan.
type Result struct {
	Failures []Failure         // of operations that failed, in the plan's order
	Skipped  []Skip            // what was left out for that reason or because of cancellation
	Done     map[string]bool   // IDs of the operations that succeeded
	Fetched  map[string]bool   // references of images that were pulled or built
	Unpulled map[string]string // references of images that could not be pulled and are to be built, with the reason
	Touched  map[string]bool   // names of containers that were created, renamed or started; none of services of which something failed
	Awaited  map[string]bool   // names of containers that were waited for and were up
	Updated  map[string]bool   // names of containers whose limits were changed in place
	Given    desired.Given     // what providers and model runners have said
}

// Skip is an operation that was not begun.
type Skip struct {
	Operation plan.Operation
	Err       error // *dag.SkippedError, or the context's error
}

// Err is nil if everything was done, else all failures in one, or the cause of the cancellation.
func (r *Result) Err() error {
	errs := make([]error, 0, len(r.Failures))
	for i := range r.Failures {
		errs = append(errs, &r.Failures[i])
	}
	if len(errs) == 0 && len(r.Skipped) > 0 {
		return r.Skipped[0].Err
	}
	return errors.Join(errs...)
}

// Run carries the plan out. When the context is done no further operation begins. If it has a deadline, what is unhealthy may
// recover until then; otherwise it has failed.
func Run(ctx context.Context, e Engine, p *plan.Plan, o Options, sink Sink) *Result {
	x := newExecutor(e, p, o, sink)
	if p.Empty() {
		return x.result
	}
	defer x.watcher.close()
	defer x.fail(nil)
	errs := x.graph(p).Walk(ctx, x.limit(), x.visit)
	for _, op := range p.Operations {
		err, failed := errs[op.Head().ID]
		switch {
		case !failed:
			x.result.Done[op.Head().ID] = true
			if wait, ok := op.(*plan.WaitHealthy); ok {
				x.result.Awaited[wait.Subject.Name] = true
			}
		case x.begun[op.Head().ID] && !errors.Is(err, dag.ErrSkipped):
			x.result.Failures = append(x.result.Failures, x.failure(op, err))
		default:
			x.skip(op, err)
		}
	}
	x.blame(errs)
	x.forget()
	return x.result
}

type executor struct {
	engine  Engine
	options Options
	byID    map[string]plan.Operation
	watcher *watcher
	result  *Result

	dependents map[string][]string // services of the operations that need another one or come after it, by its ID
	needed     map[string]bool     // IDs of operations that another one needs
	failing    context.Context     // done when an operation has failed; the cause is a *dag.SkippedError
	fail       context.CancelCauseFunc

	mu     sync.Mutex // what follows, and calls of sink
	sink   Sink
	begun  map[string]bool
	images map[string]string // IDs of images that this run pulled or built, by reference
	ids    map[string]string // IDs of containers that this run made, by the name that they got
	owners map[string]string // services of the containers that were touched, by name

	foreign map[string]bool // IDs of operations that what is not the project's stands in the way of

	outcomes outcomes
}

func newExecutor(e Engine, p *plan.Plan, o Options, sink Sink) *executor {
	x := &executor{
		engine:  e,
		options: o,
		byID:    make(map[string]plan.Operation, len(p.Operations)),
		watcher: newWatcher(e, p.Project),
		result:  &Result{Done: map[string]bool{}, Fetched: map[string]bool{}, Unpulled: map[string]string{}, Touched: map[string]bool{}, Updated: map[string]bool{}, Awaited: map[string]bool{}},
		sink:    sink,
		begun:   make(map[string]bool, len(p.Operations)),
		images:  make(map[string]string),
		ids:     make(map[string]string),
		owners:  make(map[string]string),
		foreign: make(map[string]bool),
	}
	x.failing, x.fail = context.WithCancelCause(context.Background())
	x.outcomes = outcomes{succeeded: make(map[string]bool, len(p.Operations)), passed: make(map[string]int)}
	return x
}

// graph is the plan's graph; the books about its operations are kept on the way.
func (x *executor) graph(p *plan.Plan) *dag.Graph {
	x.dependents, x.needed = make(map[string][]string), make(map[string]bool)
	g := p.Graph()
	for _, op := range p.Operations {
		h := op.Head()
		x.byID[h.ID] = op
		if isWait(op) {
			g.Free(h.ID)
		}
	}
	for _, op := range p.Operations {
		h := op.Head()
		for _, id := range h.Needs {
			x.needed[id] = true
		}
		for _, id := range slices.Concat(h.Needs, h.After) {
			if isWait(x.byID[id]) {
				x.dependents[id] = append(x.dependents[id], h.Service)
			}
		}
	}
	return g
}

func (x *executor) limit() int {
	if x.options.Limit == 0 {
		return DefaultLimit
	}
	return x.options.Limit
}

// visit does one operation and tells about it.
func (x *executor) visit(ctx context.Context, id string) error {
	op := x.byID[id]
	start := time.Now()
	x.mu.Lock()
	x.begun[id] = true
	x.mu.Unlock()
	x.tell(Event{Operation: op, Phase: Started, At: start})
	err := x.attempt(ctx, op)
	if err != nil && x.settled(ctx, op, start, err) {
		err = nil
	}
	end := time.Now()
	phase := Done
	if pull, ok := op.(*plan.PullImage); ok && pull.OrBuild && err != nil && ctx.Err() == nil {
		x.unpulled(pull.Ref, err)
		x.tell(Event{Operation: op, Phase: Warned, At: end, Elapsed: end.Sub(start), Err: err})
		return nil
	}
	if err != nil && ctx.Err() == nil && x.dispensable(op) {
		x.tell(Event{Operation: op, Phase: Warned, At: end, Elapsed: end.Sub(start), Err: err})
		return nil
	}
	if errors.Is(err, dag.ErrSkipped) {
		return err // a wait that was given up
	}
	if err != nil {
		phase = Failed
		err = x.explain(ctx, op, err)
		x.fail(&dag.SkippedError{Cause: id})
	} else {
		x.succeed(id)
	}
	x.tell(Event{Operation: op, Phase: phase, At: end, Elapsed: end.Sub(start), Err: err})
	return err
}

// ErrFault is the kind of failures that are mistakes in this program. Their text says where.
var ErrFault = errors.New("fault of this program")

// attempt is do, with a fault of ours as an error: other operations are under way, and this process may keep other projects.
func (x *executor) attempt(ctx context.Context, op plan.Operation) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrFault, fault, debug.Stack())
		}
	}()
	return x.do(ctx, op)
}

func (x *executor) tell(e Event) {
	if x.sink == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sink(e)
}

func (x *executor) skip(op plan.Operation, err error) {
	err = x.inWords(err)
	x.result.Skipped = append(x.result.Skipped, Skip{op, err})
	x.tell(Event{Operation: op, Phase: Skipped, At: time.Now(), Err: err})
}

// blame tells each failure of which services something was left out because of it.
func (x *executor) blame(errs map[string]error) {
	services := make(map[string][]string) // by the ID of what failed
	for _, skip := range x.result.Skipped {
		h := skip.Operation.Head()
		why, ok := errors.AsType[*dag.SkippedError](errs[h.ID])
		if ok && h.Service != "" && !isWait(skip.Operation) {
			services[why.Cause] = append(services[why.Cause], h.Service)
		}
	}
	for i := range x.result.Failures {
		f := &x.result.Failures[i]
		h := f.Operation.Head()
		others := slices.DeleteFunc(services[h.ID], func(name string) bool { return name == h.Service })
		slices.Sort(others)
		f.NotDone = slices.Compact(others)
	}
}

// inWords names the service or the object that failed instead of an operation's ID.
func (x *executor) inWords(err error) error {
	skipped, ok := errors.AsType[*dag.SkippedError](err)
	if !ok {
		return err
	}
	if cause, ok := x.byID[skipped.Cause]; ok {
		h := cause.Head()
		name := h.Service
		if name == "" {
			name = strings.ToLower(string(h.Subject.Kind)) + " " + h.Subject.Name
		}
		return &dag.SkippedError{Cause: name}
	}
	return err
}

// fetched remembers what an image turned out to be.
func (x *executor) fetched(ref, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.images[ref] = id
	x.result.Fetched[ref] = true
}

func (x *executor) unpulled(ref string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Unpulled[ref] = err.Error()
}

func (x *executor) imageID(ref string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.images[ref]
}

func (x *executor) hasTouched(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.result.Touched[name]
}

func (x *executor) touched(h *plan.Header, name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.result.Touched[name] = true
	x.owners[name] = h.Service
}

// forget takes the containers of services of which something failed out of those that were touched: what became of them is not
// known.
func (x *executor) forget() {
	failed := make(map[string]bool)
	for i := range x.result.Failures {
		failed[x.result.Failures[i].Operation.Head().Service] = true
	}
	for _, skip := range x.result.Skipped {
		failed[skip.Operation.Head().Service] = true
	}
	for name, service := range x.owners {
		if failed[service] {
			delete(x.result.Touched, name)
		}
	}
}

// identify remembers the ID of a container that the run has made.
func (x *executor) identify(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ids[name] = id
}

// idOf is the ID of a container that operations name by its ID, or by the name with which the run has made it.
func (x *executor) idOf(ref string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return cmp.Or(x.ids[ref], ref)
}

// withImage is the configuration with the image's ID in its label.
func withImage(c engine.CreateConfig, id string) engine.CreateConfig {
	return withLabel(c, desired.LabelImage, id)
}

func withLabel(c engine.CreateConfig, name, value string) engine.CreateConfig {
	config := *c.Config
	config.Labels = maps.Clone(config.Labels)
	config.Labels[name] = value
	c.Config = &config
	return c
}
