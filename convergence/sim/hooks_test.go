package sim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
)

// hooked is a project whose web has the hook at the moment.
func hooked(moment, command string) string {
	return "services:\n  web:\n    image: web\n    " + moment + ": [{command: " + command + "}]\n  front:\n    image: front\n    depends_on: [web]\n"
}

func (f *fake) statusOf(name string) container.ContainerState {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, err := f.find(name); err == nil {
		return r.status
	}
	return ""
}

func (f *fake) count(call string) int {
	return strings.Count("\n"+strings.Join(f.calls, "\n")+"\n", "\n"+call+"\n")
}

func TestHooksRunAroundTheLife(t *testing.T) {
	text := `
services:
  web:
    image: web
    pre_start: [{image: tools, command: migrate}]
    post_start: [{command: warm}, {command: announce}]
    pre_stop: [{command: drain}]
`
	f, d := newFake(), want(t, text)
	var said []string
	_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, func(e execute.Event) {
		if _, ok := e.Operation.(*plan.RunHook); ok && e.Phase == execute.Progress {
			said = append(said, e.Progress.Stream)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	settled(t, f, d)
	if _, err := convergence.Down(t.Context(), f, "x", d, plan.DownOptions{}, convergence.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	order := []string{
		"create x-web-1", "create x-web-1-pre_start-0", "start x-web-1-pre_start-0", "start x-web-1",
		"exec in x-web-1 warm", "exec in x-web-1 announce", "exec in x-web-1 drain", "stop x-web-1", "remove x-web-1",
	}
	var got []string
	for _, call := range f.calls {
		if slices.Contains(order, call) {
			got = append(got, call)
		}
	}
	if !slices.Equal(got, order) {
		t.Errorf("calls:\n%s", strings.Join(got, "\n"))
	}
	if len(said) != 2 || said[0] != "output of x-web-1 warm\n" {
		t.Errorf("printed: %q", said)
	}
	if len(f.containers) > 0 {
		t.Errorf("left: %v", f.containers)
	}
}

// The failure says which hook it was and what it printed; what waits for the service is skipped, the container is stopped,
// and the next run tries again.
func TestAFailedPostStartStopsItsContainer(t *testing.T) {
	f, d := newFake(), want(t, hooked("post_start", "fail"))
	for n := 1; n <= 2; n++ {
		_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil)
		if err == nil || !strings.Contains(err.Error(), "post_start[0] of service web failed in container x-web-1: exit 3") || !strings.Contains(err.Error(), "output of x-web-1 fail") {
			t.Errorf("error: %v", err)
		}
		if f.statusOf("x-web-1") != "exited" || f.count("exec in x-web-1 fail") != n || f.count("start x-front-1") != 0 {
			t.Errorf("run %d: %s, calls:\n%s", n, f.statusOf("x-web-1"), strings.Join(f.calls, "\n"))
		}
	}
	up(t, f, want(t, hooked("post_start", "warm")), plan.UpOptions{})
}

func TestAFailedPostStartBringsTheOldOneBack(t *testing.T) {
	f := newFake()
	up(t, f, want(t, hooked("post_start", "warm")), plan.UpOptions{})
	old, _ := f.find("x-web-1")
	result, err := convergence.Run(t.Context(), f, want(t, hooked("post_start", "fail")), convergence.Options{}, nil)
	if err == nil || !result.Restored {
		t.Errorf("restored %t, error: %v", result.Restored, err)
	}
	if now, _ := f.find("x-web-1"); now != old || now.status != "running" || len(f.containers) != 2 {
		t.Errorf("x-web-1 is the old one: %t; %d containers", now == old, len(f.containers))
	}
}

// A container that is started again in its place is stopped, and not taken for the one that ran before.
func TestAFailedPostStartAfterARestart(t *testing.T) {
	f, d := newFake(), want(t, hooked("post_start", "warm"))
	up(t, f, d, plan.UpOptions{})
	failing := want(t, hooked("post_start", "fail"))
	s, err := observe.Project(t.Context(), f, "x", failing)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Restart(failing, s, plan.LifecycleOptions{Services: []string{"web"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := convergence.Apply(t.Context(), f, p, convergence.Options{}, nil); err == nil || f.statusOf("x-web-1") != "exited" {
		t.Errorf("x-web-1 is %s, error: %v", f.statusOf("x-web-1"), err)
	}
}

// A failed hook's container is kept for whoever wants to look, and gives way to the next attempt.
func TestAFailedPreStartKeepsTheServiceFromStarting(t *testing.T) {
	f := newFake()
	_, err := convergence.Run(t.Context(), f, want(t, hooked("pre_start", "fail")), convergence.Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "pre_start[0] of service web failed: container x-web-1-pre_start-0 exited (3) and is kept") {
		t.Errorf("error: %v", err)
	}
	if f.count("start x-web-1") != 0 || f.count("start x-front-1") != 0 || f.statusOf("x-web-1-pre_start-0") != "exited" {
		t.Errorf("calls:\n%s", strings.Join(f.calls, "\n"))
	}
	up(t, f, want(t, hooked("pre_start", "migrate")), plan.UpOptions{RemoveOrphans: true})
	if len(f.containers) != 2 || f.statusOf("x-web-1") != "running" {
		t.Errorf("%d containers, x-web-1 %s", len(f.containers), f.statusOf("x-web-1"))
	}
}

func TestPreStartSeesTheVolumesOfItsContainer(t *testing.T) {
	f := newFake()
	_, _ = convergence.Run(t.Context(), f, want(t, hooked("pre_start", "fail")), convergence.Options{}, nil)
	hook, err := f.find("x-web-1-pre_start-0")
	if err != nil {
		t.Fatal(err)
	}
	labels := hook.cfg.Config.Labels
	if from := hook.cfg.Host.VolumesFrom; !slices.Equal(from, []string{"x-web-1"}) || labels[desired.LabelHook] != "pre_start" || labels[desired.LabelService] != "web" {
		t.Errorf("volumes from %q, labels %v", from, labels)
	}
	for name, endpoint := range hook.cfg.Networking.EndpointsConfig {
		if len(endpoint.Aliases) > 0 {
			t.Errorf("on %s it is called %q", name, endpoint.Aliases)
		}
	}
}

// As the specification has it, a stop whose hook fails is not carried out.
func TestAFailedPreStopKeepsTheContainerRunning(t *testing.T) {
	f, d := newFake(), want(t, hooked("pre_stop", "fail"))
	up(t, f, d, plan.UpOptions{})
	_, err := convergence.Down(t.Context(), f, "x", d, plan.DownOptions{}, convergence.Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "pre_stop[0] of service web failed") || f.statusOf("x-web-1") != "running" {
		t.Errorf("x-web-1 is %s, error: %v", f.statusOf("x-web-1"), err)
	}
}

// What does not run cannot run hooks, and is taken down all the same.
func TestHooksAreForWhatRuns(t *testing.T) {
	f, d := newFake(), want(t, hooked("pre_stop", "fail"))
	up(t, f, d, plan.UpOptions{})
	r, _ := f.find("x-web-1")
	r.status = container.StatePaused
	if _, err := convergence.Down(t.Context(), f, "x", d, plan.DownOptions{}, convergence.Options{}, nil); err != nil || len(f.containers) > 0 {
		t.Errorf("%d containers, %v", len(f.containers), err)
	}
}

// Only the run that was cancelled knows which hooks it has not run: their container is stopped, so that the next start runs
// them.
func TestACancelledHookStopsItsContainer(t *testing.T) {
	f, d := newFake(), want(t, hooked("post_start", "warm"))
	ctx, cancel := context.WithCancel(t.Context())
	f.before = func(call string) error {
		if strings.HasPrefix(call, "exec ") {
			cancel()
			return ctx.Err()
		}
		return nil
	}
	if _, err := convergence.Run(ctx, f, d, convergence.Options{Execute: execute.Options{Limit: 1}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	f.before = nil
	if f.statusOf("x-web-1") != "exited" {
		t.Errorf("x-web-1 is %s", f.statusOf("x-web-1"))
	}
	up(t, f, d, plan.UpOptions{})
	if f.count("exec in x-web-1 warm") != 1 {
		t.Errorf("calls:\n%s", strings.Join(f.calls, "\n"))
	}
}
