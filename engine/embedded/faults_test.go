package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
	"stackrun.dev/stack/engine/embedded/runtime"
)

func (b *bench) create(t *testing.T, name string, host *dockercontainer.HostConfig) *container.Container {
	t.Helper()
	made, err := b.ContainerCreate(t.Context(), name, engine.CreateConfig{
		Config: &dockercontainer.Config{Image: b.image, Cmd: []string{"true"}, Volumes: map[string]struct{}{"/anonymous": {}}}, Host: host,
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.find(made.ID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *bench) await(t *testing.T, c *container.Container, what string, done func(container.Moment) bool) container.Moment {
	t.Helper()
	m, err := c.Await(t.Context(), done)
	if err != nil {
		t.Fatalf("waiting until it is %s: %v; it is %+v", what, err, m.State)
	}
	return m
}

func policy(name dockercontainer.RestartPolicyMode) *dockercontainer.HostConfig {
	return &dockercontainer.HostConfig{RestartPolicy: dockercontainer.RestartPolicy{Name: name}}
}

func TestAFailedStartGivesEverythingBack(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name  string
		fault func(b *bench)
		code  int
	}{
		{"no network", func(b *bench) { b.networks.set("NewSandbox", broken) }, 125},
		{"no process", func(b *bench) { b.runtime.set("Create", broken) }, 125},
		{"no name server", func(b *bench) { b.runtime.set("SetNames", broken) }, 125},
		{"no such command", func(b *bench) { b.runtime.set("Start", &runtime.StartError{Code: 127, Text: "broken"}) }, 127},
		{"no answer about a start that happens", func(b *bench) { b.runtime.set("Start", broken) }, 125},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			c := b.create(t, "web", nil)
			test.fault(b)
			err := b.ContainerStart(t.Context(), "web")
			if err == nil || !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "web") {
				t.Fatalf("got %v", err)
			}
			if s := c.State(); s.Phase != lifecycle.Created || s.ExitCode != test.code || s.Error == "" {
				t.Errorf("state %+v", s)
			}
			if left := b.runtime.all(); len(left) != 0 || b.networks.count() != 0 {
				t.Errorf("left: processes %v, %d sandboxes", left, b.networks.count())
			}
			b.runtime.clear()
			b.networks.clear()
			if err := b.ContainerStart(t.Context(), "web"); err != nil {
				t.Errorf("the next start: %v", err)
			}
			b.runtime.exit(c.ID, 0)
			b.await(t, c, "ended", ended)
		})
	}
}

func TestAFullDiskLeavesNothingHalfCreated(t *testing.T) {
	b := newBench(t)
	b.store.set("Put", unix.ENOSPC)
	_, err := b.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &dockercontainer.Config{
		Image: b.image, Cmd: []string{"true"}, Volumes: map[string]struct{}{"/anonymous": {}},
	}})
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("got %v", err)
	}
	entries, err := os.ReadDir(filepath.Join(b.opts.Root, "containers"))
	if err != nil || len(entries) != 0 || len(b.volumes.List()) != 0 || len(b.pins.all) != 0 || len(b.containers.All()) != 0 {
		t.Errorf("left: %v, volumes %v, %d pins, %v", entries, b.volumes.List(), len(b.pins.all), err)
	}
	b.store.clear()
	b.create(t, "web", nil) // the name is free
}

func TestAnExitDuringTheStartIsSeen(t *testing.T) {
	b := newBench(t)
	b.runtime.onStart = func(id string) { b.runtime.exit(id, 3) }
	c := b.create(t, "web", nil)
	if err := b.ContainerStart(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	m := b.await(t, c, "ended", ended)
	if m.State.ExitCode != 3 || m.State.Phase != lifecycle.Exited {
		t.Errorf("state %+v", m.State)
	}
	if b.networks.count() != 0 || len(b.runtime.all()) != 0 {
		t.Error("something is left")
	}
}

func TestPoliciesRestart(t *testing.T) {
	b := newBench(t)
	c := b.create(t, "web", policy("always"))
	if err := b.ContainerStart(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	b.runtime.exit(c.ID, 1)
	b.await(t, c, "restarted", func(m container.Moment) bool { return m.Exits == 1 && m.State.Phase == lifecycle.Running })
	if err := b.ContainerStop(t.Context(), "web", dockercontainer.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Phase != lifecycle.Exited || s.RestartCount != 1 || !s.Stopped {
		t.Errorf("after the stop: %+v", s)
	}
}

func TestStopDuringTheBackoff(t *testing.T) {
	b := newBench(t)
	c := b.create(t, "web", policy("always"))
	if err := b.ContainerStart(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	b.runtime.onStart = func(id string) { b.runtime.exit(id, 1) }
	b.runtime.exit(c.ID, 1)
	b.await(t, c, "backing off", func(m container.Moment) bool {
		return m.State.Phase == lifecycle.Restarting && m.State.Backoff >= lifecycle.FirstBackoff
	})
	if err := b.ContainerStop(t.Context(), "web", dockercontainer.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Phase != lifecycle.Exited {
		t.Errorf("after the stop: %+v", s)
	}
}

func TestTakeOver(t *testing.T) {
	for _, test := range []struct {
		name      string
		host      *dockercontainer.HostConfig
		meanwhile func(b *bench, id string) // after the engine's death
		want      lifecycle.Phase
		code      int
		exits     bool
	}{
		{"it runs on", nil, func(*bench, string) {}, lifecycle.Running, 0, false},
		{"it ended", nil, func(b *bench, id string) { b.runtime.exit(id, 9) }, lifecycle.Exited, 9, true},
		{"it ended and wants to run", policy("always"), func(b *bench, id string) { b.runtime.exit(id, 9) }, lifecycle.Running, 0, true},
		{"the host was restarted", nil, func(b *bench, id string) { delete(b.runtime.states, id) }, lifecycle.Exited, lifecycle.UnknownExit, true},
		{"the host was restarted and it wants to run", policy("unless-stopped"), func(b *bench, id string) { delete(b.runtime.states, id) }, lifecycle.Running, 0, true},
		{"it removes itself", &dockercontainer.HostConfig{AutoRemove: true}, func(b *bench, id string) { b.runtime.exit(id, 0) }, "", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			c := b.create(t, "web", test.host)
			if err := b.ContainerStart(t.Context(), "web"); err != nil {
				t.Fatal(err)
			}
			b.runtime.onEvent = func(runtime.Event) {}
			b.stop()
			test.meanwhile(b, c.ID)
			b.die(t)
			after := b.containers.Get(c.ID)
			if after == nil {
				if test.want != "" {
					t.Fatal("the container is gone")
				}
				return
			}
			m := b.await(t, after, "as wanted", func(m container.Moment) bool {
				return m.Removed || m.State.Phase == test.want && (test.exits == (m.Exits > 0))
			})
			if test.want == "" {
				if !m.Removed {
					t.Errorf("state %+v", m.State)
				}
				return
			}
			if m.State.ExitCode != test.code {
				t.Errorf("state %+v, want exit code %d", m.State, test.code)
			}
			if running := m.State.Active(); running != (b.networks.count() == 1) {
				t.Errorf("running %v with %d sandboxes", running, b.networks.count())
			}
		})
	}
}

func TestTakeOverRespectsAManualStop(t *testing.T) {
	b := newBench(t)
	c := b.create(t, "web", policy("always"))
	if err := b.ContainerStart(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if err := b.ContainerStop(t.Context(), "web", dockercontainer.StopOptions{}); err != nil {
		t.Fatal(err)
	}
	b.die(t)
	after := b.containers.Get(c.ID)
	if err := after.Lock(t.Context()); err != nil { // resuming is over
		t.Fatal(err)
	}
	defer after.Unlock()
	if s := after.State(); s.Phase != lifecycle.Exited {
		t.Errorf("state %+v", s)
	}
}

func TestTakeOverRemovesWhatNoRecordKnows(t *testing.T) {
	b := newBench(t)
	b.runtime.states["stranger"] = state("stranger", 1, runtime.Running)
	b.runtime.states["halfmade"] = state("halfmade", 1, runtime.Created)
	orphan := filepath.Join(b.opts.Root, "containers", "orphan")
	if err := os.Mkdir(orphan, 0o700); err != nil {
		t.Fatal(err)
	}
	b.die(t)
	b.stop()
	b.tasks.Wait()
	if left := b.runtime.all(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := os.Stat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the orphan's directory: %v", err)
	}
}

func TestBusyTellsHowManyNeedTheEngine(t *testing.T) {
	b := newBench(t)
	var told []int
	b.busy.tell = func(n int) { told = append(told, n) }
	c := b.create(t, "web", nil)
	if err := b.ContainerStart(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	b.runtime.exit(c.ID, 0)
	b.await(t, c, "ended", ended)
	if err := b.ContainerRemove(t.Context(), "web", dockercontainer.RemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || told[0] != 1 || told[1] != 0 {
		t.Errorf("told %v, want 1 and 0", told)
	}
}
