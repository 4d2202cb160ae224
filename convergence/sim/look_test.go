package sim

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine/memory"
)

// What a look tells of a project, without doing anything to it.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		d := want(t, "services:\n"+pair+
			"  once: {image: app, command: ['true']}\n  crash: {image: app, command: [sh, -c, 'exit 7']}\n"+
			"  slow: {image: app, healthcheck: {test: [CMD, 'true'], interval: 1h}}\n")
		look := func(stopped ...string) (differs, waits []string) {
			t.Helper()
			differs, waits, err := convergence.Look(t.Context(), e, d, stopped, plan.UpOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return differs, waits
		}
		if differs, _ := look(); !slices.Equal(differs, []string{
			"x_default: it is not there", "crash: it is not there", "db: it is not there", "once: it is not there", "slow: it is not there", "web: it is not there",
		}) {
			t.Errorf("before up: %q", differs)
		}
		if _, err := convergence.Run(t.Context(), e, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		differs, waits := look()
		if !slices.Equal(differs, []string{"crash: it exited (7)"}) || !slices.Equal(waits, []string{"x-slow-1 is to become healthy"}) {
			t.Errorf("after up: %q, %q", differs, waits)
		}
		if differs, _ := look("crash"); len(differs) > 0 {
			t.Errorf("what was stopped on purpose counts: %q", differs)
		}
	})
}

// Whoever asks a keeper gets an answer about the time after the question.
func TestAskingAKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		ctx, cancel := context.WithCancel(t.Context())
		asks := make(chan chan<- convergence.Status)
		wishes, ended := make(chan convergence.Wish, 1), make(chan error, 1)
		wishes <- convergence.Wish{Desired: want(t, "services:\n"+pair)}
		go func() { ended <- convergence.Keep(ctx, e, wishes, convergence.KeepOptions{Look: asks}, nil) }()
		ask := func() convergence.Status {
			answer := make(chan convergence.Status, 1)
			asks <- answer
			return <-answer
		}
		if s := ask(); !s.Converged {
			t.Errorf("status %+v", s)
		}
		for range 3 {
			if err := e.ContainerRemove(ctx, "x-web-1", container.RemoveOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
			ask()
			if _, err := e.ContainerInspect(ctx, "x-web-1"); err != nil {
				t.Errorf("the answer came before it was made again: %v", err)
			}
		}
		e.Fail("ContainerCreate", "x-web-1", errInjected)
		if err := e.ContainerRemove(ctx, "x-web-1", container.RemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		if s := ask(); s.Err == "" || time.Since(began) > 0 {
			t.Errorf("after %v: status %+v", time.Since(began), s)
		}
		cancel()
		<-ended
	})
}

// After a reboot everything has exited, and nobody wanted that.
func TestKeepingCanStartWhatHasExited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		d := want(t, "services:\n"+pair)
		if _, err := convergence.Run(t.Context(), e, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"x-web-1", "x-db-1"} {
			if err := e.ContainerStop(t.Context(), name, container.StopOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		wishes, ended := make(chan convergence.Wish, 1), make(chan error, 1)
		wishes <- convergence.Wish{Desired: d}
		var did []string
		o := convergence.KeepOptions{Start: true, Intent: func() ([]string, bool) { return []string{"web"}, false }}
		go func() {
			ended <- convergence.Keep(ctx, e, wishes, o, func(e execute.Event) {
				if e.Phase == execute.Done {
					did = append(did, e.Operation.Head().ID)
				}
			})
		}()
		synctest.Wait()
		if err := e.ContainerStop(ctx, "x-db-1", container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		<-ended
		if !slices.Equal(did, []string{"start container x-db-1"}) {
			t.Errorf("it did %q", did)
		}
	})
}

// What a keeper brings a project to is told if it is news, not each time that something is mended.
func TestOnlyNewWishesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		ctx, cancel := context.WithCancel(t.Context())
		wishes, ended := make(chan convergence.Wish), make(chan error, 1)
		told := 0
		o := convergence.KeepOptions{}
		o.Converged = func(convergence.Outcome) { told++ }
		go func() { ended <- convergence.Keep(ctx, e, wishes, o, nil) }()
		wishes <- convergence.Wish{Desired: want(t, "services:\n  web: {image: app, stop_grace_period: 0s}\n")}
		synctest.Wait()
		if told != 0 {
			t.Errorf("told %d times of the first wish", told)
		}
		wishes <- convergence.Wish{Desired: want(t, "services:\n  web: {image: app, stop_grace_period: 0s, labels: {a: b}}\n")}
		time.Sleep(time.Minute)
		for range 3 {
			if err := e.ContainerRemove(ctx, "x-web-1", container.RemoveOptions{Force: true}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		cancel()
		<-ended
	})
}
