package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine/memory"
)

var errDeadline = errors.New("waiting took too long")

// waited is what came of waiting, and when.
type waited struct {
	err     error
	after   time.Duration
	skipped []string
}

// waitUp brings the services up and waits, in virtual time. No limit: there is no deadline.
func waitUp(t *testing.T, services string, limit time.Duration, faults ...memory.Fault) (out waited) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		e.AddImage("probed", container.Config{Cmd: []string{"sleep", "100000"}, Healthcheck: &container.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Second}})
		for _, f := range faults {
			e.Inject(f)
		}
		d, ctx := want(t, "services:\n"+services), t.Context()
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, limit, errDeadline)
			defer cancel()
		}
		began := time.Now()
		o := convergence.Options{Up: plan.UpOptions{Wait: true}}
		_, out.err = convergence.Run(ctx, e, d, o, func(e execute.Event) {
			if e.Phase == execute.Skipped {
				out.skipped = append(out.skipped, fmt.Sprint(e.Operation.Head().ID, ": ", e.Err))
			}
		})
		out.after = time.Since(began)
	})
	return out
}

const (
	steady  = "  a: {image: app}\n"
	slow    = "  s: {image: app, healthcheck: {test: [CMD, 'true'], interval: 1h}}\n"
	illness = "healthcheck: {test: 'echo no answer; exit 1', interval: 2s, retries: 2}"
)

// What --wait takes as up, as not yet up, and as failed for good.
func TestUpWaits(t *testing.T) {
	for _, c := range []struct {
		name, services string
		limit          time.Duration
		after          time.Duration
		err            []string // what the error holds; none: it succeeds
	}{
		{"what has no health check has to stay up for a moment", steady, 0, 500 * time.Millisecond, nil},
		{"a health check decides at once", "  a: {image: app, healthcheck: {test: [CMD, 'true'], interval: 100ms}}\n", 0, 100 * time.Millisecond, nil},
		{"work that is done is a success", "  a: {image: app, command: ['true']}\n", 0, 0, nil},
		{"a crash is a failure", "  a: {image: app, command: [sh, -c, 'echo no database; exit 7']}\n", 0, 0,
			[]string{"container x-a-1 exited (7)", "its last lines:\n    no database"}},
		{"a late crash is one, too", "  a: {image: app, command: [sh, -c, 'sleep 0.3; exit 7']}\n", 0, 300 * time.Millisecond,
			[]string{"container x-a-1 exited (7)"}},
		{"patience does not help what nobody restarts", "  a: {image: app, command: [sh, -c, 'exit 7']}\n", time.Minute, 0,
			[]string{"container x-a-1 exited (7)"}},
		{"restarts come to an end", "  a: {image: app, restart: 'on-failure:2', command: [sh, -c, 'exit 7']}\n", 0, 300 * time.Millisecond,
			[]string{"container x-a-1 exited (7)"}},
		{"what crashes again and again is not up", "  a: {image: app, restart: always, command: [sh, -c, 'echo no database; sleep 0.4; exit 7']}\n", 30 * time.Second, 30 * time.Second,
			[]string{"waiting took too long", "x-a-1", "exited (7)", "no database"}},
		{"what has recovered from a crash has to stay up for longer", "  a: {image: app, restart: always, command: [sh, -c, 'test -e /once && exec sleep 1000; touch /once; exit 7']}\n", 0, 10*time.Second + 100*time.Millisecond, nil},
		{"unhealthy is a failure", "  a: {image: app, " + illness + "}\n", 0, 4 * time.Second,
			[]string{"container x-a-1 is unhealthy", "health check: no answer"}},
		{"unhealthy can recover until the deadline", "  a: {image: app, healthcheck: {test: 'test -e /late', interval: 2s, retries: 1}, command: [sh, -c, 'sleep 5; touch /late; exec sleep 1000']}\n", time.Minute, 6 * time.Second, nil},
		{"at the deadline each that is waited for is named", slow + "  u: {image: app, " + illness + "}\n" + steady, 8 * time.Second, 8 * time.Second,
			[]string{"container x-s-1 is not healthy yet", "container x-u-1 is unhealthy", "health check: no answer"}},
		{"one failure ends the waiting for the others", slow + "  a: {image: app, command: [sh, -c, 'sleep 0.2; exit 7']}\n", 0, 200 * time.Millisecond,
			[]string{"container x-a-1 exited (7)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := waitUp(t, c.services, c.limit)
			if got.after.Round(time.Millisecond) != c.after {
				t.Errorf("it took %v, want %v", got.after, c.after)
			}
			if (got.err == nil) != (c.err == nil) {
				t.Fatalf("error: %v", got.err)
			}
			for _, text := range c.err {
				if !strings.Contains(got.err.Error(), text) {
					t.Errorf("the error does not hold %q:\n%v", text, got.err)
				}
			}
		})
	}
}

// What is to take the place of a container that works has one try: neither an engine that starts it again nor time that is left
// makes it one.
func TestANewContainerOfAnUpdateHasOneTry(t *testing.T) {
	const service = "services:\n  web: {image: app, restart: always, command: [sh, -c, %q], healthcheck: {test: %q, interval: 2s, retries: 2}, deploy: {update_config: {order: %s}}}\n"
	for _, order := range []string{"start-first", "stop-first"} {
		for text, broken := range map[string][2]string{"is unhealthy": {"sleep 1000", "exit 1"}, "exited (7) before it was healthy": {"sleep 0.2; exit 7", "true"}} {
			synctest.Test(t, func(t *testing.T) {
				e := memory.New()
				defer e.Close()
				e.AddImage("app", container.Config{})
				if _, err := convergence.Run(t.Context(), e, want(t, fmt.Sprintf(service, "sleep 1000", "true", order)), convergence.Options{}, nil); err != nil {
					t.Fatal(err)
				}
				before, began := running(t, e), time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := convergence.Run(ctx, e, want(t, fmt.Sprintf(service, broken[0], broken[1], order)), convergence.Options{}, nil)
				if err == nil || !strings.Contains(err.Error(), text) || time.Since(began) > time.Minute {
					t.Errorf("%s: after %v: %v", order, time.Since(began), err)
				}
				if now := running(t, e); now != before {
					t.Errorf("%s: %s runs, not %s", order, now, before)
				}
			})
		}
	}
}

// An update that is not over at the deadline has failed: the old container is back.
func TestAnUpdateAtTheDeadline(t *testing.T) {
	const service = "services:\n  web: {image: app, command: [sleep, '1000'], healthcheck: {test: 'true', interval: %s}, deploy: {update_config: {order: %s}}}\n"
	for _, order := range []string{"start-first", "stop-first"} {
		synctest.Test(t, func(t *testing.T) {
			e := memory.New()
			defer e.Close()
			e.AddImage("app", container.Config{})
			if _, err := convergence.Run(t.Context(), e, want(t, fmt.Sprintf(service, "1s", order)), convergence.Options{}, nil); err != nil {
				t.Fatal(err)
			}
			before := running(t, e)
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errDeadline)
			defer cancel()
			_, err := convergence.Run(ctx, e, want(t, fmt.Sprintf(service, "1h", order)), convergence.Options{}, nil)
			if now := running(t, e); now != before || !errors.Is(err, errDeadline) || !strings.Contains(err.Error(), "the update of web failed") {
				t.Errorf("%s: %s runs, not %s: %v", order, now, before, err)
			}
		})
	}
}

// running are the names and IDs of the containers that run.
func running(t *testing.T, e *memory.Engine) string {
	t.Helper()
	list, err := e.ContainerList(t.Context(), container.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, c.Names[0]+" "+c.ID)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// Who is waited for in vain when another one fails has not failed.
func TestWaitsThatAreGivenUpAreSkipped(t *testing.T) {
	got := waitUp(t, slow+"  a: {image: app, command: [sh, -c, 'exit 7']}\n", 0)
	if want := []string{"wait for the health of container x-s-1: skipped: a failed"}; !slices.Equal(got.skipped, want) {
		t.Errorf("skipped: %q, want %q", got.skipped, want)
	}
	if strings.Contains(fmt.Sprint(got.err), "x-s-1") {
		t.Errorf("error: %v", got.err)
	}
}

// The end comes in the middle of a question to the engine.
func TestAWaitEndsWhileItAsks(t *testing.T) {
	hangs := memory.Fault{Op: "ContainerInspect", Match: "x-s-1", Delay: time.Hour, Times: 1}
	got := waitUp(t, slow+"  a: {image: app, command: [sh, -c, 'sleep 0.2; exit 7']}\n", 0, hangs)
	if len(got.skipped) != 1 || strings.Contains(fmt.Sprint(got.err), "x-s-1") {
		t.Errorf("skipped %q, error: %v", got.skipped, got.err)
	}
	got = waitUp(t, slow, time.Second, hangs)
	if got.err == nil || !errors.Is(got.err, errDeadline) || !strings.Contains(got.err.Error(), "container x-s-1 is not up yet") {
		t.Errorf("error: %v", got.err)
	}
}

// service_healthy is a promise about a health check: without one there is nothing that can keep it.
func TestHealthyNeedsAHealthCheck(t *testing.T) {
	const web = "  web: {image: app, depends_on: {a: {condition: service_healthy}}}\n"
	for name, a := range map[string]string{
		"none":        "  a: {image: app}\n",
		"and crashes": "  a: {image: app, restart: always, command: [sh, -c, 'sleep 1; exit 9']}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got := waitUp(t, "  a: {image: probed}\n"+web, 0); got.err != nil {
				t.Errorf("with the image's health check: %v", got.err)
			}
			for _, limit := range []time.Duration{0, time.Minute} {
				got := waitUp(t, a+web, limit)
				const text = "service a has no health check, neither in the Compose file nor in its image, but service web depends on it with condition: service_healthy"
				if got.err == nil || !strings.Contains(got.err.Error(), text) || got.after != 0 {
					t.Errorf("after %v: %v", got.after, got.err)
				}
			}
		})
	}
}

// The exit of a service is not the health that others need, also where --wait asks for the same container.
func TestAnExitIsNoHealthForDependents(t *testing.T) {
	got := waitUp(t, "  a: {image: app, command: ['true'], healthcheck: {test: [CMD, 'true'], interval: 1h}}\n  web: {image: app, depends_on: {a: {condition: service_healthy}}}\n", 0)
	if got.err == nil || !strings.Contains(got.err.Error(), "container x-a-1 exited (0)") {
		t.Errorf("error: %v", got.err)
	}
}
