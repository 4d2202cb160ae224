package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// kept is a project that is kept converged on an engine in memory, in virtual time.
type kept struct {
	t      *testing.T
	engine *memory.Engine
	wishes chan convergence.Wish
	ended  chan error
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped []string
	down    bool
	status  convergence.Status
	did     []string // operations that were done since it was last asked
	undone  []error  // why operations were not done
}

// stayKept brings the services up and keeps them; then it runs the test.
func stayKept(t *testing.T, services string, test func(*kept), wrap ...func(engine.Engine) engine.Engine) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		d := want(t, "services:\n"+services)
		ctx, cancel := context.WithCancel(t.Context())
		k := &kept{t: t, engine: e, wishes: make(chan convergence.Wish), ended: make(chan error, 1), cancel: cancel}
		if _, err := convergence.Run(ctx, e, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		o := convergence.KeepOptions{Intent: k.intent, Status: k.hear}
		var on engine.Engine = e
		for _, w := range wrap {
			on = w(on)
		}
		go func() { k.ended <- convergence.Keep(ctx, on, k.wishes, o, k.note) }()
		k.wishes <- convergence.Wish{Desired: d}
		synctest.Wait()
		k.idle()
		test(k)
		cancel()
		if err := <-k.ended; !errors.Is(err, context.Canceled) && !errors.Is(err, convergence.ErrDown) {
			t.Errorf("it ended with %v", err)
		}
	})
}

func (k *kept) intent() ([]string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped, k.down
}

func (k *kept) hear(s convergence.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status = s
}

func (k *kept) note(e execute.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := e.Operation.Head(); e.Phase == execute.Done {
		k.did = append(k.did, h.ID)
	} else if e.Phase == execute.Failed || e.Phase == execute.Skipped {
		k.undone = append(k.undone, e.Err)
	}
}

// now is the status when nothing moves any more.
func (k *kept) now() convergence.Status {
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}

// done are the operations since the last call, when nothing moves any more.
func (k *kept) done() []string {
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	did := k.did
	k.did = nil
	return did
}

func (k *kept) does(operations ...string) {
	k.t.Helper()
	if did := k.done(); !slices.Equal(did, operations) {
		k.t.Errorf("it did %q, want %q", did, operations)
	}
}

// idle checks that the project is converged and nothing was done.
func (k *kept) idle() {
	k.t.Helper()
	k.does()
	if s := k.now(); !s.Converged || s.Err != "" {
		k.t.Errorf("status: %+v", s)
	}
}

func (k *kept) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kept) remove(name string) {
	k.t.Helper()
	k.ok(k.engine.ContainerRemove(k.t.Context(), name, container.RemoveOptions{Force: true}))
}

func (k *kept) wish(services string) {
	k.t.Helper()
	k.wishes <- convergence.Wish{Desired: want(k.t, "services:\n"+services)}
}

const pair = "  db: {image: app}\n  web: {image: app, depends_on: [db]}\n"

func TestWhatDisappearsIsMadeAgain(t *testing.T) {
	stayKept(t, pair, func(k *kept) {
		k.remove("x-web-1")
		k.does("create container x-web-1", "start container x-web-1")
		if s := k.now(); !s.Converged {
			k.t.Errorf("status: %+v", s)
		}
		c, err := k.engine.ContainerInspect(k.t.Context(), "x-db-1")
		k.ok(err)
		k.ok(k.engine.NetworkDisconnect(k.t.Context(), "x_default", c.ID, true))
		if did := k.done(); len(did) == 0 {
			k.t.Error("it is not connected again")
		}
	})
}

// What has exited has done so on purpose, or its restart policy deals with it.
func TestWhatHasExitedIsLeftAlone(t *testing.T) {
	stayKept(t, pair+"  once: {image: app, command: ['true']}\n  crash: {image: app, restart: 'on-failure:2', command: [sh, -c, 'sleep 1; exit 7']}\n", func(k *kept) {
		k.ok(k.engine.ContainerStop(k.t.Context(), "x-web-1", container.StopOptions{}))
		k.idle()
		time.Sleep(time.Hour)
		k.idle()
		k.ok(k.engine.ContainerPause(k.t.Context(), "x-db-1"))
		k.idle()
		k.remove("x-once-1")
		k.does("create container x-once-1", "start container x-once-1")
	})
}

func TestANewWishIsCarriedOut(t *testing.T) {
	stayKept(t, pair, func(k *kept) {
		k.wish(strings.Replace(pair, "db: {image: app}", "db: {image: app, environment: {A: b}}", 1))
		time.Sleep(time.Minute) // stopping takes its time
		if did := k.done(); !slices.Contains(did, "start container x-db-1") || slices.Contains(did, "create container x-web-1") {
			k.t.Errorf("it did %q", did)
		}
	})
}

func TestABrokenWishLeavesWhatRunsAlone(t *testing.T) {
	stayKept(t, pair, func(k *kept) {
		k.wishes <- convergence.Wish{Err: errors.New("compose.yaml:3:5: no such attribute")}
		k.does()
		if s := k.now(); !s.Converged || s.Broken != "compose.yaml:3:5: no such attribute" || s.Err != "" {
			k.t.Errorf("status: %+v", s)
		}
		k.remove("x-db-1")
		k.does("create container x-db-1", "start container x-db-1")
		k.wish(pair)
		k.idle()
	})
}

// A wish must not have to wait until the one before has come true: that may be never.
func TestANewWishEndsTheWaitingForTheOldOne(t *testing.T) {
	const never = "  db: {image: app, healthcheck: {test: [CMD, 'true'], interval: 10h}}\n  web: {image: app, environment: {A: b}, depends_on: {db: {condition: service_healthy}}}\n"
	stayKept(t, pair, func(k *kept) {
		k.wish(never)
		time.Sleep(time.Minute)
		if s := k.now(); s.Converged || !slices.Equal(s.Waits, []string{"x-db-1 is to become healthy"}) {
			k.t.Errorf("status: %+v", s)
		}
		k.wish(pair)
		time.Sleep(time.Minute)
		k.done()
		if s := k.now(); !s.Converged || len(s.Waits) > 0 {
			k.t.Errorf("status: %+v", s)
		}
		failed := func(err error) bool { return !errors.Is(err, convergence.ErrGivenUp) }
		if len(k.undone) < 2 || slices.ContainsFunc(k.undone, failed) { // the wait, and what came after it
			k.t.Errorf("operations were not done because of %q", k.undone)
		}
	})
}

func TestWhatFailsIsTriedAgainLaterAndLater(t *testing.T) {
	stayKept(t, pair, func(k *kept) {
		var at []time.Duration
		began := time.Now()
		broken := errors.New("no space left on device")
		recover := k.engine.Fail("ContainerCreate", "x-web-1", broken)
		k.remove("x-web-1")
		for range 300 {
			if s := k.now(); s.Converged || !strings.Contains(s.Err, "no space left") {
				k.t.Fatalf("status: %+v", s)
			}
			next := waitingUntil(k.now())
			if len(at) == 0 || at[len(at)-1] != next {
				at = append(at, next)
			}
			time.Sleep(time.Second)
		}
		want := "[1s 3s 7s 15s 31s 1m3s 2m3s 3m3s 4m3s 5m3s]"
		for i := range at {
			at[i] -= time.Duration(began.Hour())*time.Hour + time.Duration(began.Minute())*time.Minute + time.Duration(began.Second())*time.Second
		}
		if fmt.Sprint(at) != want {
			k.t.Errorf("tried at %v, want %v", at, want)
		}
		recover()
		time.Sleep(time.Minute)
		k.does("create container x-web-1", "start container x-web-1")
		if s := k.now(); !s.Converged || s.Err != "" || len(s.Waits) > 0 {
			k.t.Errorf("status: %+v", s)
		}
	})
}

// waitingUntil is the time of day in the last of what is waited for.
func waitingUntil(s convergence.Status) time.Duration {
	if len(s.Waits) == 0 {
		return -1
	}
	words := strings.Fields(s.Waits[len(s.Waits)-1])
	at, err := time.Parse(time.TimeOnly, words[len(words)-1])
	if err != nil {
		return -1
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
}

// What other commands were told to do is not undone.
func TestIntentIsKept(t *testing.T) {
	stayKept(t, pair, func(k *kept) {
		k.stopped = []string{"web"}
		k.remove("x-web-1")
		k.idle()
		k.remove("x-db-1")
		k.does("create container x-db-1", "start container x-db-1")
		k.stopped = nil
		k.wish(pair)
		k.does("create container x-web-1", "start container x-web-1")
		k.down = true
		k.remove("x-db-1")
		if err := <-k.ended; !errors.Is(err, convergence.ErrDown) {
			k.t.Errorf("it ended with %v", err)
		}
		k.does()
		k.ended <- convergence.ErrDown
	})
}

// deafened is an engine whose events end when they are cut.
type deafened struct {
	engine.Engine
	mu   sync.Mutex
	cuts []context.CancelFunc
	lost int
}

func (d *deafened) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	ctx, cancel := context.WithCancel(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cuts = append(d.cuts, cancel)
	return d.Engine.Events(ctx, o)
}

func (d *deafened) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, cut := range d.cuts {
		cut()
	}
	d.cuts, d.lost = nil, d.lost+1
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	d := &deafened{}
	stayKept(t, pair, func(k *kept) {
		d.cut()
		synctest.Wait()
		k.remove("x-web-1")
		k.does() // nobody has told
		time.Sleep(time.Second)
		k.does("create container x-web-1", "start container x-web-1")
		k.remove("x-web-1")
		k.does("create container x-web-1", "start container x-web-1")
	}, func(e engine.Engine) engine.Engine { d.Engine = e; return d })
}

const sickly = "  web: {image: app, healthcheck: {test: 'test ! -e /ill', interval: 1s, retries: 1}}\n"

func TestUnhealthyContainersAreRestartedLaterAndLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		d := want(t, "services:\n"+strings.Replace(sickly, "test ! -e /ill", "exit 1", 1))
		d.Services[0].RestartUnhealthy = true
		var restarts []time.Duration
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if _, err := convergence.Run(ctx, e, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		wishes := make(chan convergence.Wish, 1)
		wishes <- convergence.Wish{Desired: d}
		err := convergence.Keep(ctx, e, wishes, convergence.KeepOptions{}, func(e execute.Event) {
			if r, ok := e.Operation.(*plan.RestartContainer); ok && e.Phase == execute.Started {
				if r.Cause != "it is unhealthy" {
					t.Errorf("cause: %s", r.Cause)
				}
				restarts = append(restarts, time.Since(began).Round(time.Second))
			}
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// Unhealthy a second after each start, which takes 10 s of stopping; then the pause of 1, 2, 4 … 60 s.
		if len(restarts) < 5 || restarts[0] != 2*time.Second {
			t.Errorf("restarts at %v", restarts)
		}
		for i := 2; i < len(restarts); i++ {
			before, now := restarts[i-1]-restarts[i-2], restarts[i]-restarts[i-1]
			if now < before || now > 75*time.Second {
				t.Errorf("restarts at %v: they do not come later and later", restarts)
			}
		}
	})
}

// One that is none of the run's business does not keep others from being restarted.
func TestUnhealthyContainersBesideThoseThatAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		ill := strings.Replace(sickly, "test ! -e /ill", "exit 1", 1)
		d := want(t, "services:\n"+ill+strings.Replace(ill, "web", "db", 1))
		for i := range d.Services {
			d.Services[i].RestartUnhealthy = true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if _, err := convergence.Run(ctx, e, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		restarts := make(map[string]int)
		wishes := make(chan convergence.Wish, 1)
		wishes <- convergence.Wish{Desired: d}
		o := convergence.KeepOptions{Options: convergence.Options{Up: plan.UpOptions{Services: []string{"web"}}}}
		_ = convergence.Keep(ctx, e, wishes, o, func(e execute.Event) {
			if r, ok := e.Operation.(*plan.RestartContainer); ok && e.Phase == execute.Done {
				restarts[r.Subject.Name]++
			}
		})
		if restarts["x-web-1"] < 5 || restarts["x-db-1"] > 0 {
			t.Errorf("restarts: %v", restarts)
		}
	})
}

func TestUnhealthyContainersOfOthersAreLeftAlone(t *testing.T) {
	stayKept(t, strings.Replace(sickly, "test ! -e /ill", "exit 1", 1), func(k *kept) {
		time.Sleep(time.Minute)
		k.idle()
	})
}

// Who depends with restart: true on what the engine has started again is restarted after it.
func TestWhatIsOvertakenIsRestarted(t *testing.T) {
	const services = "  db: {image: app, restart: always, command: [sh, -c, 'test -e /once && exec sleep 100000; touch /once; sleep 5; exit 1']}\n" +
		"  web: {image: app, depends_on: {db: {condition: service_started, restart: true}}}\n  other: {image: app, depends_on: [db]}\n"
	stayKept(t, services, func(k *kept) {
		time.Sleep(time.Minute) // stopping takes its time
		k.does("stop container x-web-1", "start container x-web-1")
		k.ok(k.engine.ContainerRestart(k.t.Context(), "x-db-1", container.StopOptions{}))
		time.Sleep(time.Minute)
		k.does("stop container x-web-1", "start container x-web-1")
		time.Sleep(time.Hour)
		k.idle()
	})
}

// The lock is free while nothing is to be done, and what others do under it is not disturbed.
func TestTheLockIsHeldForRoundsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		lock := make(chan struct{}, 1)
		o := convergence.KeepOptions{}
		o.Lock = func(context.Context, string) (func(), error) { lock <- struct{}{}; return func() { <-lock }, nil }
		ctx, cancel := context.WithCancel(t.Context())
		wishes, ended := make(chan convergence.Wish, 1), make(chan error, 1)
		d := want(t, "services:\n"+pair)
		wishes <- convergence.Wish{Desired: d}
		go func() { ended <- convergence.Keep(ctx, e, wishes, o, nil) }()
		synctest.Wait()
		if len(lock) > 0 {
			t.Fatal("the lock is held although nothing is to be done")
		}
		lock <- struct{}{}
		if err := e.ContainerRemove(ctx, "x-web-1", container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := e.ContainerInspect(ctx, "x-web-1"); err == nil {
			t.Error("it was made again under somebody else's lock")
		}
		<-lock
		synctest.Wait()
		if _, err := e.ContainerInspect(ctx, "x-web-1"); err != nil {
			t.Error(err)
		}
		cancel()
		<-ended
	})
}

// Whoever keeps several projects in one process can survive a fault in a round of one.
func TestAFaultOfARoundIsOneOfKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		defer func() {
			if fault := fmt.Sprint(recover()); !strings.HasPrefix(fault, "a fault\n") || !strings.Contains(fault, "keep_test.go") {
				t.Errorf("Keep panicked with: %s", fault)
			}
		}()
		wishes := make(chan convergence.Wish, 1)
		wishes <- convergence.Wish{Desired: want(t, "services:\n"+pair)}
		lock := func(context.Context, string) (func(), error) { panic("a fault") }
		_ = convergence.Keep(t.Context(), e, wishes, convergence.KeepOptions{Options: convergence.Options{Lock: lock}}, nil)
	})
}

// panicking is an engine in whose client there is a fault.
type panicking struct{ engine.Engine }

func (panicking) ContainerStart(context.Context, string) error { panic("a fault") }

// A fault in an operation is a failure of it: what is under way beside it is not torn down half way.
func TestAFaultOfAnOperationIsItsFailure(t *testing.T) {
	e := memory.New()
	defer e.Close()
	e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
	_, err := convergence.Run(t.Context(), panicking{e}, want(t, "services:\n"+pair), convergence.Options{}, nil)
	if !errors.Is(err, execute.ErrFault) || named(err) || !strings.Contains(err.Error(), "keep_test.go") {
		t.Errorf("the run ended with %v", err)
	}
}
