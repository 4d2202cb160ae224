package enginetest

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/engine"
)

func restart(name container.RestartPolicyMode, most int) option {
	return host(func(h *container.HostConfig) {
		h.RestartPolicy = container.RestartPolicy{Name: name, MaximumRetryCount: most}
	})
}

var restartCases = []testCase{
	{"on-failure gives up after the given number", func(f *fixture) {
		id := f.create(sh("exit 3"), restart("on-failure", 2))
		dies, errs := f.Events(f.ctx, only("container", id, filters.Arg("event", "die")))
		f.must(f.ContainerStart(f.ctx, id))
		for range 3 {
			if m := f.nextEvent(dies, errs); m.Actor.Attributes["exitCode"] != "3" {
				f.Errorf("got %+v, want exit code 3", m.Actor)
			}
		}
		if c := f.inspect(id); c.RestartCount != 2 || c.State.Status != container.StateExited {
			f.Errorf("restarted %d times, want 2; state %s", c.RestartCount, c.State.Status)
		}
	}},
	{"on-failure leaves success alone", func(f *fixture) {
		id := f.run(command("true"), restart("on-failure", 5))
		f.wait(id, container.WaitConditionNotRunning)
		if c := f.inspect(id); c.RestartCount != 0 || c.State.Running {
			f.Errorf("restarted %d times, state %s", c.RestartCount, c.State.Status)
		}
	}},
	{"an exit satisfies not-running, also when a restart follows", func(f *fixture) {
		id := f.create(sh("exit 3"), restart("always", 0))
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionNextExit)
		f.must(f.ContainerStart(f.ctx, id))
		if code := f.waited(results, errs); code != 3 && !f.Lacks.ExitCodesOfRestarted {
			f.Errorf("exit code %d, want 3", code)
		}
	}},
	{"always restarts until it is stopped", func(f *fixture) {
		id := f.create(command("true"), restart("always", 0))
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		starts, errs := f.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
			filters.Arg("container", id), filters.Arg("event", "start"))})
		f.must(f.ContainerStart(f.ctx, id))
		for range 3 {
			f.nextEvent(starts, errs)
		}
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		if c := f.inspect(id); c.RestartCount < 2 || c.State.Running || c.State.Restarting {
			f.Errorf("restarted %d times, state %+v", c.RestartCount, c.State)
		}
	}},
	{"a stopped container stays stopped", func(f *fixture) {
		id := f.run(sh(graceful), restart("always", 0))
		f.awaitOutput(id, "ready")
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		if s := f.inspect(id).State; s.Running || s.Restarting {
			f.Errorf("state is %+v", s)
		}
	}},
}

var waitCases = []testCase{
	{"what does not run satisfies not-running at once", func(f *fixture) {
		id := f.create()
		if code := f.wait(id, ""); code != 0 {
			f.Errorf("exit code %d, want 0", code)
		}
	}},
	{"next-exit holds from the call", func(f *fixture) {
		id := f.create(sh("exit 6"))
		for range 2 { // the second time it has exited before
			results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionNextExit)
			f.must(f.ContainerStart(f.ctx, id))
			if code := f.waited(results, errs); code != 6 {
				f.Errorf("exit code %d, want 6", code)
			}
		}
	}},
	{"not-running holds from the call", func(f *fixture) {
		id := f.run()
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionNotRunning)
		f.must(f.ContainerKill(f.ctx, id, "KILL"))
		if code := f.waited(results, errs); code != 137 {
			f.Errorf("exit code %d, want 137", code)
		}
	}},
	{"removed is when it is gone", func(f *fixture) {
		id := f.run()
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionRemoved)
		f.must(f.ContainerRemove(f.ctx, id, container.RemoveOptions{Force: true}))
		f.waited(results, errs)
		_, err := f.ContainerInspect(f.ctx, id)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"an exit is not yet removed", func(f *fixture) {
		id := f.run(sh("exit 2"))
		f.wait(id, container.WaitConditionNotRunning)
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionRemoved)
		f.must(f.ContainerStart(f.ctx, id)) // and a wrong answer has the time to come
		f.wait(id, container.WaitConditionNotRunning)
		select {
		case r := <-results:
			f.Errorf("got %+v before it was removed", r)
		default:
		}
		f.remove(id)
		if code := f.waited(results, errs); code != 2 {
			f.Errorf("exit code %d, want 2", code)
		}
	}},
	{"several wait for one", func(f *fixture) {
		id := f.run()
		type wait struct {
			results <-chan container.WaitResponse
			errs    <-chan error
		}
		var waits []wait
		for range 5 {
			results, errs := f.ContainerWait(f.ctx, id, "")
			waits = append(waits, wait{results, errs})
		}
		f.must(f.ContainerKill(f.ctx, id, "KILL"))
		for _, w := range waits {
			if code := f.waited(w.results, w.errs); code != 137 {
				f.Errorf("exit code %d, want 137", code)
			}
		}
	}},
	{"a cancelled wait ends", func(f *fixture) {
		id := f.run()
		ctx, cancel := context.WithCancel(f.ctx)
		results, errs := f.ContainerWait(ctx, id, "")
		cancel()
		select {
		case r := <-results:
			f.Errorf("got %+v though it runs", r)
		case err := <-errs:
			f.wantKind("wait", err, context.Canceled)
		}
	}},
}
