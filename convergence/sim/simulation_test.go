package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/sim/model"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

const (
	simulations = 2000
	longest     = 10 * time.Minute // of virtual time, that a run may take
)

// TestSimulation brings projects up on an engine in memory while calls fail, take their time, or are carried out and their
// answers lost, while events are dropped or told twice, containers die, lose their health, or are removed, renamed and taken
// off their networks. A run always ends: the project is as wanted, or the error names what failed. When the trouble is over,
// one more run brings it to where a start from nothing leads.
func TestSimulation(t *testing.T) {
	all := seeds(t, simulations)
	for part := range slices.Chunk(all, (len(all)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0)) {
		t.Run(fmt.Sprintf("from %d", part[0]), func(t *testing.T) {
			t.Parallel()
			for _, seed := range part {
				synctest.Test(t, func(t *testing.T) {
					s := newSimulation(seed)
					defer s.engine.Close()
					if err := s.play(t.Context()); err != nil {
						t.Fatalf("replay with STACK_SIM_SEED=%d:\n%v\n%s\n%s", seed, err, s.wish.String(), strings.Join(s.history, "\n"))
					}
				})
			}
		})
	}
}

// simulation is one history.
type simulation struct {
	wish   model.Wish
	engine *memory.Engine

	mu      sync.Mutex // what follows
	rnd     *rand.Rand
	calm    bool     // nothing goes wrong any more
	history []string // what went wrong
}

// somewhat is what one in so many asks for.
func (s *simulation) somewhat(in int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.calm && s.rnd.IntN(in) == 0
}

func (s *simulation) pick(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rnd.IntN(n)
}

func (s *simulation) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, fmt.Sprintf(format, args...))
}

func newSimulation(seed uint64) *simulation {
	s := &simulation{rnd: rand.New(rand.NewPCG(seed, 3))}
	s.engine = memory.New(memory.WithProgram("health", s.health), memory.WithProgram("sleep", s.sleep))
	s.wish = model.NewWish(s.rnd)
	for _, ref := range model.Images {
		s.image(ref)
	}
	return s
}

func (s *simulation) image(ref string) {
	s.engine.AddImage(ref, container.Config{Labels: map[string]string{"n": fmt.Sprint(s.pick(1 << 30))}})
}

// health is a check that fails now and then.
func (s *simulation) health(*memory.Process) int {
	if s.somewhat(5) {
		return 1
	}
	return 0
}

// sleep is what services run. Some of it crashes.
func (s *simulation) sleep(p *memory.Process) int {
	if s.somewhat(8) {
		p.Sleep(time.Duration(s.pick(3000)) * time.Millisecond)
		if s.somewhat(1) {
			s.note("a process crashes")
			return 1
		}
	}
	p.Sleep(1000 * time.Hour)
	return 0
}

var errFault = errors.New("a fault of the simulation")

// faults is the engine with what goes wrong.
func (s *simulation) faults() *flaky {
	return &flaky{simulation: s, faulty: faulty{
		Engine: s.engine,
		before: func(ctx context.Context, call, ref string) error {
			switch {
			case s.somewhat(60):
				s.note("%s %s fails", call, ref)
				return fmt.Errorf("cannot %s %s: %w", call, ref, errFault)
			case s.somewhat(20):
				return wait(ctx, time.Duration(s.pick(3000))*time.Millisecond)
			}
			return nil
		},
		after: func(call, ref string) error {
			if s.somewhat(60) {
				s.note("the answer of %s %s is lost", call, ref)
				return engine.Errorf(engine.ErrUnavailable, "the answer of %s %s is lost: %w", call, ref, errFault)
			}
			return nil
		},
	}}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flaky also loses and repeats events.
type flaky struct {
	faulty
	*simulation
}

// Events implements engine.System.
func (f *flaky) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	from, errs := f.faulty.Engine.Events(ctx, o)
	to := make(chan events.Message)
	go func() {
		for {
			select {
			case m := <-from:
				for range f.times() {
					select {
					case to <- m:
					case <-ctx.Done():
						return
					}
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return to, errs
}

// times is how often an event is told.
func (f *flaky) times() int {
	switch {
	case f.somewhat(10):
		f.note("an event is dropped")
		return 0
	case f.somewhat(10):
		return 2
	}
	return 1
}

// play is three wishes, each while things go wrong and then in peace.
func (s *simulation) play(ctx context.Context) error {
	for range 2 {
		d := s.wish.Desired()
		if err := s.trouble(ctx, d); err != nil {
			return err
		}
		if err := s.peace(ctx, d); err != nil {
			return err
		}
		s.mu.Lock()
		s.calm, s.wish = false, s.wish.Changed(s.rnd)
		s.mu.Unlock()
		if s.pick(4) == 0 {
			s.image(model.Images[s.pick(len(model.Images))])
		}
	}
	return nil
}

// trouble is a run that may fail, but ends and says why.
func (s *simulation) trouble(ctx context.Context, d *desired.Project) error {
	over, stop := context.WithCancel(ctx)
	var people sync.WaitGroup
	people.Go(func() { s.meddle(over) })
	o := plan.UpOptions{Wait: s.pick(3) == 0, RemoveOrphans: true}
	if s.pick(5) == 0 {
		o.Recreate = plan.RecreateForce
	}
	err := s.run(ctx, s.faults(), d, o)
	stop()
	people.Wait()
	if err == nil || named(err) {
		return nil
	}
	return fmt.Errorf("a run ended without a reason: %w", err)
}

// run is a run that must end.
func (s *simulation) run(ctx context.Context, e engine.Engine, d *desired.Project, o plan.UpOptions) error {
	limited, cancel := context.WithTimeoutCause(ctx, longest, errHangs)
	defer cancel()
	if s.pick(8) == 0 && !s.calm { // somebody interrupts it
		var stop context.CancelFunc
		limited, stop = context.WithTimeoutCause(limited, time.Duration(s.pick(5000))*time.Millisecond, errFault)
		defer stop()
	}
	_, err := convergence.Run(limited, e, d, convergence.Options{Up: o}, nil)
	switch cause := context.Cause(limited); {
	case errors.Is(cause, errHangs):
		return fmt.Errorf("%w: %w", errHangs, err)
	case errors.Is(cause, errFault) && err != nil:
		return fmt.Errorf("%w: it was interrupted: %w", errFault, err)
	}
	return err
}

var errHangs = errors.New("the run took too long")

// named says that the error says what failed: a failure with its operation and its cause, or a fault while the project was
// looked at.
func named(err error) bool {
	if errors.Is(err, errHangs) || errors.Is(err, execute.ErrFault) {
		return false
	}
	f, ok := errors.AsType[*execute.Failure](err)
	return ok && f.Operation != nil && f.Operation.Head().Subject.Name != "" && f.Err != nil && f.Err.Error() != "" || errors.Is(err, errFault) ||
		strings.Contains(err.Error(), "cannot converge: ")
}

// meddle is what other people do meanwhile.
func (s *simulation) meddle(ctx context.Context) {
	for wait(ctx, time.Duration(s.pick(2000))*time.Millisecond) == nil {
		list, err := s.engine.ContainerList(ctx, container.ListOptions{All: true})
		if err != nil || len(list) == 0 || !s.somewhat(3) {
			continue
		}
		c := list[s.pick(len(list))]
		did, err := s.accident(ctx, &c)
		if err == nil && did != "" {
			s.note("somebody %s %s", did, c.Names[0])
		}
	}
}

func (s *simulation) accident(ctx context.Context, c *container.Summary) (did string, err error) {
	switch s.pick(6) {
	case 0:
		return "removes", s.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true})
	case 1:
		return "renames", s.engine.ContainerRename(ctx, c.ID, fmt.Sprint("renamed-", s.pick(1<<30)))
	case 2:
		return "kills", s.engine.ContainerKill(ctx, c.ID, "SIGKILL")
	case 3:
		return "pauses", s.engine.ContainerPause(ctx, c.ID)
	case 4:
		for name := range c.NetworkSettings.Networks {
			return "disconnects", s.engine.NetworkDisconnect(ctx, name, c.ID, true)
		}
	case 5:
		return "stops", s.engine.ContainerStop(ctx, c.ID, container.StopOptions{})
	}
	return "", nil
}

// peace is a run in which nothing goes wrong. It must lead to where a start from nothing leads.
func (s *simulation) peace(ctx context.Context, d *desired.Project) error {
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	if err := wait(ctx, time.Minute); err != nil { // health checks recover, and what crashes has done so
		return err
	}
	s.note("peace")
	if err := s.run(ctx, s.engine, d, plan.UpOptions{RemoveOrphans: true}); err != nil {
		return fmt.Errorf("an undisturbed run fails: %w", err)
	}
	got, err := s.outcome(ctx, s.engine, d)
	if err != nil {
		return err
	}
	fresh := memory.New(memory.WithProgram("health", func(*memory.Process) int { return 0 }))
	defer fresh.Close()
	for _, ref := range model.Images {
		fresh.AddImage(ref, container.Config{})
	}
	if err := s.run(ctx, fresh, d, plan.UpOptions{}); err != nil {
		return fmt.Errorf("a start from nothing fails: %w", err)
	}
	want, err := s.outcome(ctx, fresh, d)
	if err == nil && got != want {
		err = fmt.Errorf("it is\n%s\nand from nothing\n%s", got, want)
	}
	return err
}

// outcome is what there is of the services, without IDs and without what a container was made with by which way.
func (s *simulation) outcome(ctx context.Context, e engine.Engine, d *desired.Project) (string, error) {
	if err := wait(ctx, 5*time.Second); err != nil { // what ends has ended
		return "", err
	}
	seen, err := observe.Project(ctx, e, "x", d)
	if err != nil {
		return "", err
	}
	p, err := plan.Up(d, seen, plan.UpOptions{})
	if err != nil || !p.Empty() {
		return "", fmt.Errorf("something is left to do: %w\n%s", err, p.Text())
	}
	var lines []string
	for _, c := range seen.Containers {
		service := d.Service(c.Service)
		if service == nil || c.OneOff {
			continue
		}
		on := fmt.Sprint(c.Networks)
		if c.Status == state.Exited {
			on = ""
		}
		lines = append(lines, fmt.Sprint(c.Name, " ", c.Status, " ", c.ExitCode, " ", on, " ", c.ImageID == seen.Images[service.Image].ID))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}
