package enginetest

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// graceful ends with exit code 7 on SIGTERM. The first process of a container has no default action for signals, so
// `sleep` alone ignores them.
const graceful = `trap 'exit 7' TERM; echo ready; sleep 1000 & wait`

var systemCases = []testCase{
	{"version and info describe the engine", func(f *fixture) {
		v, err := f.Version(f.ctx)
		f.must(err)
		if v.APIVersion == "" || v.Version == "" || v.Os == "" || v.Arch == "" {
			f.Errorf("Version() leaves fields empty: %+v", v)
		}
		f.run()
		info, err := f.Info(f.ctx)
		f.must(err)
		if info.ContainersRunning < 1 || info.Images < 1 || info.Name == "" {
			f.Errorf("Info() = %d running, %d images, name %q", info.ContainersRunning, info.Images, info.Name)
		}
	}},
}

var lifecycleCases = []testCase{
	{"a created container does not run", func(f *fixture) {
		c := f.inspect(f.create())
		if c.State.Status != container.StateCreated || c.State.Running || c.State.Pid != 0 {
			f.Errorf("state is %+v", c.State)
		}
	}},
	{"start, stop, start again", func(f *fixture) {
		id := f.run(sh(graceful))
		f.awaitOutput(id, "ready")
		if s := f.inspect(id).State; s.Status != container.StateRunning || !s.Running || s.Pid == 0 {
			f.Errorf("after start: %+v", s)
		}
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		if s := f.inspect(id).State; s.Status != container.StateExited || s.Running || s.ExitCode != 7 {
			f.Errorf("after stop: %+v", s)
		}
		f.must(f.ContainerStart(f.ctx, id))
		if s := f.inspect(id).State; s.Status != container.StateRunning || s.ExitCode != 0 {
			f.Errorf("after the second start: %+v", s)
		}
	}},
	{"starting what runs and stopping what has stopped is no error", func(f *fixture) {
		id := f.create()
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		f.must(f.ContainerStart(f.ctx, id))
		started := f.inspect(id).State.StartedAt
		f.must(f.ContainerStart(f.ctx, id))
		if again := f.inspect(id).State.StartedAt; again != started {
			f.Errorf("the second start started it again: %s, then %s", started, again)
		}
		none := 0
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{Timeout: &none}))
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{Timeout: &none}))
	}},
	{"stop kills what does not heed the stop signal in time", func(f *fixture) {
		id := f.run(command("sleep", "1000"))
		one := 1
		began := time.Now()
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{Timeout: &one}))
		if took := time.Since(began); took < 900*time.Millisecond {
			f.Errorf("it took %v, less than the timeout of 1 s", took)
		}
		if code := f.inspect(id).State.ExitCode; code != 137 {
			f.Errorf("exit code %d, want 137", code)
		}
	}},
	{"the container's stop signal is sent", func(f *fixture) {
		id := f.run(sh(`trap 'exit 9' USR1; echo ready; sleep 1000 & wait`), config(func(c *container.Config) { c.StopSignal = "SIGUSR1" }))
		f.awaitOutput(id, "ready")
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		if code := f.inspect(id).State.ExitCode; code != 9 {
			f.Errorf("exit code %d, want 9", code)
		}
	}},
	{"kill sends the signal that was asked for", func(f *fixture) {
		id := f.run(sh(`trap 'echo hup' HUP; trap 'exit 4' INT; echo ready; sleep 1000 & wait; sleep 1000 & wait`))
		f.awaitOutput(id, "ready")
		f.must(f.ContainerKill(f.ctx, id, "HUP"))
		f.awaitOutput(id, "hup")
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionNotRunning)
		f.must(f.ContainerKill(f.ctx, id, "2"))
		if code := f.waited(results, errs); code != 4 {
			f.Errorf("exit code %d, want 4", code)
		}
	}},
	{"kill without a signal is SIGKILL", func(f *fixture) {
		id := f.run()
		f.must(f.ContainerKill(f.ctx, id, ""))
		if code := f.wait(id, container.WaitConditionNotRunning); code != 137 {
			f.Errorf("exit code %d, want 137", code)
		}
	}},
	{"restart runs it anew", func(f *fixture) {
		id := f.run(sh(graceful))
		f.awaitOutput(id, "ready")
		before := f.inspect(id).State
		f.must(f.ContainerRestart(f.ctx, id, container.StopOptions{}))
		after := f.inspect(id)
		if !after.State.Running || after.State.StartedAt == before.StartedAt || after.RestartCount != 0 {
			f.Errorf("started %s, then %s, running %v, restart count %d", before.StartedAt, after.State.StartedAt, after.State.Running, after.RestartCount)
		}
	}},
	{"restart starts what has stopped", func(f *fixture) {
		id := f.create()
		f.must(f.ContainerRestart(f.ctx, id, container.StopOptions{}))
		if !f.inspect(id).State.Running {
			f.Error("it does not run")
		}
	}},
	{"pause and unpause", func(f *fixture) {
		id := f.run()
		f.must(f.ContainerPause(f.ctx, id))
		if s := f.inspect(id).State; s.Status != container.StatePaused || !s.Paused || !s.Running {
			f.Errorf("after pause: %+v", s)
		}
		f.wantKind("start of a paused container", f.ContainerStart(f.ctx, id), engine.ErrConflict)
		f.must(f.ContainerUnpause(f.ctx, id))
		if s := f.inspect(id).State; s.Status != container.StateRunning || s.Paused {
			f.Errorf("after unpause: %+v", s)
		}
	}},
	{"the environment, the working directory and the host name are as configured", func(f *fixture) {
		_, out := f.runToEnd(sh(`echo $A $FROM_IMAGE; pwd; hostname`), config(func(c *container.Config) {
			c.Env, c.WorkingDir, c.Hostname = []string{"A=1"}, "/tmp", "someone"
		}))
		if out != "1 yes\n/tmp\nsomeone\n" {
			f.Errorf("got %q", out)
		}
	}},
	{"entrypoint and command of the container win over the image's", func(f *fixture) {
		_, out := f.runToEnd(command("b"), config(func(c *container.Config) { c.Entrypoint = []string{"echo", "a"} }))
		if out != "a b\n" {
			f.Errorf("got %q, want \"a b\"", out)
		}
	}},
	{"the user is as configured", func(f *fixture) {
		_, out := f.runToEnd(command("id", "-u"), config(func(c *container.Config) { c.User = "user" }))
		if out != "1000\n" {
			f.Errorf("got %q, want 1000", out)
		}
	}},
	{"files survive a restart and go with the container", func(f *fixture) {
		id := f.run(sh(`test -f /tmp/was && echo again; touch /tmp/was`))
		f.wait(id, container.WaitConditionNotRunning)
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, container.WaitConditionNotRunning)
		if out := f.output(id); out != "again\n" {
			f.Errorf("got %q, want \"again\"", out)
		}
	}},
	{"remove with force removes what runs", func(f *fixture) {
		id := f.run()
		f.wantKind("remove", f.ContainerRemove(f.ctx, id, container.RemoveOptions{}), engine.ErrConflict)
		f.must(f.ContainerRemove(f.ctx, id, container.RemoveOptions{Force: true}))
		_, err := f.ContainerInspect(f.ctx, id)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"auto-remove removes it after its exit", func(f *fixture) {
		id := f.create(command("true"), host(func(h *container.HostConfig) { h.AutoRemove = true }))
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionRemoved)
		f.must(f.ContainerStart(f.ctx, id))
		f.waited(results, errs)
		_, err := f.ContainerInspect(f.ctx, id)
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"top lists the processes", func(f *fixture) {
		top, err := f.ContainerTop(f.ctx, f.run(command("sleep", "1000")), nil)
		f.must(err)
		if len(top.Titles) == 0 || len(top.Processes) != 1 || !strings.Contains(strings.Join(top.Processes[0], " "), "sleep 1000") {
			f.Errorf("got %+v", top)
		}
	}},
	{"stats takes a sample", func(f *fixture) {
		s, err := f.ContainerStats(f.ctx, f.run())
		f.must(err)
		if s.Read.IsZero() || !s.PreRead.IsZero() {
			f.Errorf("sample of %v, before that %v", s.Read, s.PreRead)
		}
	}},
	{"update changes the restart policy", func(f *fixture) {
		id := f.run()
		_, err := f.ContainerUpdate(f.ctx, id, container.UpdateConfig{RestartPolicy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3}})
		f.must(err)
		if p := f.inspect(id).HostConfig.RestartPolicy; p.Name != "on-failure" || p.MaximumRetryCount != 3 {
			f.Errorf("policy is %+v", p)
		}
	}},
	{"a cancelled context ends the call", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.ContainerInspect(ctx, f.create())
		if err != nil {
			f.wantKind("inspect", err, context.Canceled)
		}
	}},
}

var exitCases = []testCase{
	{"0", func(f *fixture) { f.wantExit(0, command("true")) }},
	{"1", func(f *fixture) { f.wantExit(1, command("false")) }},
	{"any", func(f *fixture) { f.wantExit(42, sh("exit 42")) }},
	{"not found is 127", func(f *fixture) { f.wantNoStart(127, command("/no/such/program")) }},
	{"not found in the path is 127", func(f *fixture) { f.wantNoStart(127, command("no-such-program")) }},
	{"not executable is 126", func(f *fixture) { f.wantNoStart(126, command("/etc/plain")) }},
	{"a start that failed took nothing and may be repeated", func(f *fixture) {
		id := f.create(command("/tmp/later"))
		if err := f.ContainerStart(f.ctx, id); err == nil {
			f.Fatal("the program is not there, but start returned no error")
		}
		content := tarOf(f, map[string]string{"ignored": ""})
		f.must(f.CopyTo(f.ctx, id, "/tmp", content, container.CopyToContainerOptions{}))
		if err := f.ContainerStart(f.ctx, id); err == nil {
			f.Error("the second start returned no error")
		}
		f.must(f.ContainerRemove(f.ctx, id, container.RemoveOptions{}))
	}},
}

func (f *fixture) wantExit(want int64, opts ...option) {
	f.Helper()
	id := f.run(opts...)
	if code := f.wait(id, container.WaitConditionNotRunning); code != want {
		f.Errorf("waiting returned %d, want %d", code, want)
	}
	s := f.inspect(id).State
	if int64(s.ExitCode) != want || s.Status != container.StateExited || s.Running {
		f.Errorf("state is %+v, want exit code %d", s, want)
	}
	finished, err := time.Parse(time.RFC3339Nano, s.FinishedAt)
	if err != nil || finished.IsZero() || finished.Year() < 2000 {
		f.Errorf("finished at %q (%v)", s.FinishedAt, err)
	}
}

func (f *fixture) wantNoStart(want int, opts ...option) {
	f.Helper()
	id := f.create(opts...)
	if err := f.ContainerStart(f.ctx, id); err == nil {
		f.Error("start returned no error")
	}
	if s := f.inspect(id).State; s.ExitCode != want || s.Running {
		f.Errorf("state is %+v, want exit code %d", s, want)
	}
}
