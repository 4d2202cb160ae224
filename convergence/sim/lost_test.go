package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// lossy is an engine of which some calls are lost: the call itself, or only its answer.
type lossy struct {
	engine.Engine
	first, last int  // which calls
	carriedOut  bool // only the answer is lost
	err         error

	mu     sync.Mutex
	calls  int
	what   []string       // was lost
	starts map[string]int // that were carried out, by container
}

// call makes one call, or loses it.
func (l *lossy) call(name string, do func() error) error {
	l.mu.Lock()
	l.calls++
	lose := l.calls >= l.first && l.calls <= l.last
	if lose {
		l.what = append(l.what, name)
	}
	l.mu.Unlock()
	if !lose {
		return do()
	}
	if l.carriedOut {
		_ = do()
	}
	if strings.HasPrefix(name, "pull") {
		return io.EOF // unavailable would be the registry
	}
	return fmt.Errorf("cannot read the answer of %s: %w", name, l.err)
}

func (l *lossy) ImagePull(ctx context.Context, ref string, o image.PullOptions, p engine.Progress) error {
	return l.call("pull "+ref, func() error { return l.Engine.ImagePull(ctx, ref, o, p) })
}

func (l *lossy) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (id string, err error) {
	err = l.call("create network "+name, func() (err error) { id, err = l.Engine.NetworkCreate(ctx, name, o); return err })
	return id, err
}

func (l *lossy) NetworkRemove(ctx context.Context, ref string) error {
	return l.call("remove network", func() error { return l.Engine.NetworkRemove(ctx, ref) })
}

func (l *lossy) NetworkConnect(ctx context.Context, ref, c string, s *network.EndpointSettings) error {
	return l.call("connect", func() error { return l.Engine.NetworkConnect(ctx, ref, c, s) })
}

func (l *lossy) NetworkDisconnect(ctx context.Context, ref, c string, force bool) error {
	return l.call("disconnect", func() error { return l.Engine.NetworkDisconnect(ctx, ref, c, force) })
}

func (l *lossy) VolumeCreate(ctx context.Context, o volume.CreateOptions) (v volume.Volume, err error) {
	err = l.call("create volume", func() (err error) { v, err = l.Engine.VolumeCreate(ctx, o); return err })
	return v, err
}

func (l *lossy) VolumeRemove(ctx context.Context, name string, force bool) error {
	return l.call("remove volume", func() error { return l.Engine.VolumeRemove(ctx, name, force) })
}

func (l *lossy) ContainerCreate(ctx context.Context, name string, c engine.CreateConfig) (r container.CreateResponse, err error) {
	err = l.call("create "+name, func() (err error) { r, err = l.Engine.ContainerCreate(ctx, name, c); return err })
	return r, err
}

func (l *lossy) ContainerList(ctx context.Context, o container.ListOptions) (list []container.Summary, err error) {
	err = l.call("list", func() (err error) { list, err = l.Engine.ContainerList(ctx, o); return err })
	return list, err
}

func (l *lossy) ContainerInspect(ctx context.Context, ref string) (c container.InspectResponse, err error) {
	err = l.call("inspect "+ref, func() (err error) { c, err = l.Engine.ContainerInspect(ctx, ref); return err })
	return c, err
}

func (l *lossy) CopyTo(ctx context.Context, ref, path string, content io.Reader, o container.CopyToContainerOptions) error {
	return l.call("copy", func() error { return l.Engine.CopyTo(ctx, ref, path, content, o) })
}

func (l *lossy) ContainerStart(ctx context.Context, ref string) error {
	return l.call("start "+ref, func() error {
		err := l.Engine.ContainerStart(ctx, ref)
		l.mu.Lock()
		defer l.mu.Unlock()
		if c, lookErr := l.Engine.ContainerInspect(ctx, ref); err == nil && lookErr == nil {
			l.starts[c.Name]++
		}
		return err
	})
}

func (l *lossy) ContainerStop(ctx context.Context, ref string, o container.StopOptions) error {
	return l.call("stop "+ref, func() error { return l.Engine.ContainerStop(ctx, ref, o) })
}

func (l *lossy) ContainerRestart(ctx context.Context, ref string, o container.StopOptions) error {
	return l.call("restart "+ref, func() error { return l.Engine.ContainerRestart(ctx, ref, o) })
}

func (l *lossy) ContainerKill(ctx context.Context, ref, signal string) error {
	return l.call("kill "+ref, func() error { return l.Engine.ContainerKill(ctx, ref, signal) })
}

func (l *lossy) ContainerPause(ctx context.Context, ref string) error {
	return l.call("pause "+ref, func() error { return l.Engine.ContainerPause(ctx, ref) })
}

func (l *lossy) ContainerUnpause(ctx context.Context, ref string) error {
	return l.call("unpause "+ref, func() error { return l.Engine.ContainerUnpause(ctx, ref) })
}

func (l *lossy) ContainerRename(ctx context.Context, ref, name string) error {
	return l.call("rename to "+name, func() error { return l.Engine.ContainerRename(ctx, ref, name) })
}

func (l *lossy) ContainerRemove(ctx context.Context, ref string, o container.RemoveOptions) error {
	return l.call("remove "+ref, func() error { return l.Engine.ContainerRemove(ctx, ref, o) })
}

func (l *lossy) ContainerUpdate(ctx context.Context, ref string, c container.UpdateConfig) (r container.UpdateResponse, err error) {
	err = l.call("update "+ref, func() (err error) { r, err = l.Engine.ContainerUpdate(ctx, ref, c); return err })
	return r, err
}

// losing are the ways in which calls get lost.
var losing = []struct {
	name       string
	carriedOut bool
	calls      int
	err        error
}{
	{"the answer", true, 1, engine.ErrUnavailable},
	{"the call", false, 1, io.EOF},
	{"three calls", false, 3, io.ErrUnexpectedEOF},
	{"three answers", true, 3, engine.ErrUnavailable},
}

// Whichever call of a run is lost, the run itself goes on to the end, and what is to run once runs once.
func TestLostCallsAreHarmless(t *testing.T) {
	changed := strings.NewReplacer(`"100000"]`, `"200000"]`, "front: {}", "front: {internal: true}").Replace(full)
	for _, way := range losing {
		t.Run(way.name, func(t *testing.T) {
			for name, texts := range map[string][2]string{"from nothing": {"", full}, "a change": {full, changed}} {
				for n, reached := 1, true; reached; n++ {
					synctest.Test(t, func(t *testing.T) {
						e := memory.New()
						defer e.Close()
						e.AddImage("web", container.Config{})
						e.AddRemoteImage("db", container.Config{Volumes: map[string]struct{}{"/image": {}}})
						if texts[0] != "" {
							mustRun(t, e, texts[0])
						}
						l := &lossy{Engine: e, first: n, last: n + way.calls - 1, carriedOut: way.carriedOut, err: way.err, starts: map[string]int{}}
						_, err := convergence.Run(t.Context(), l, want(t, texts[1]), convergence.Options{Up: plan.UpOptions{Wait: true}}, nil)
						reached = len(l.what) > 0
						if err != nil {
							t.Fatalf("%s, lost %q: %v", name, l.what, err)
						}
						if again := mustRun(t, e, texts[1]); again.Changed {
							t.Errorf("%s, lost %q: the next run changes something", name, l.what)
						}
						if texts[0] == "" && l.starts["/x-migrate-1"] != 1 {
							t.Errorf("%s, lost %q: the one-shot container started %d times", name, l.what, l.starts["/x-migrate-1"])
						}
					})
				}
			}
		})
	}
}

func mustRun(t *testing.T, e engine.Engine, text string) *convergence.Result {
	t.Helper()
	result, err := convergence.Run(t.Context(), e, want(t, text), convergence.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// The commands that carry out one plan do not look again: each of their operations finds out by itself that it was carried out.
func TestLostAnswersOfSinglePlans(t *testing.T) {
	const text = `
services:
  db: {image: web, command: [sleep, "100000"], volumes: ["data:/data"]}
  web: {image: web, command: [sleep, "100000"], depends_on: [db]}
volumes: {data: {}}
`
	all := plan.LifecycleOptions{}
	d := want(t, text)
	stop := func(s *state.Project) (*plan.Plan, error) { return plan.Stop(d, s, all) }
	pause := func(s *state.Project) (*plan.Plan, error) { return plan.Pause(s, all) }
	for name, c := range map[string]struct {
		before, make func(*state.Project) (*plan.Plan, error)
	}{
		"stop":    {nil, stop},
		"start":   {stop, func(s *state.Project) (*plan.Plan, error) { return plan.Start(d, s, all) }},
		"restart": {nil, func(s *state.Project) (*plan.Plan, error) { return plan.Restart(d, s, all) }},
		"pause":   {nil, pause},
		"unpause": {pause, func(s *state.Project) (*plan.Plan, error) { return plan.Unpause(s, all) }},
		"kill":    {nil, func(s *state.Project) (*plan.Plan, error) { return plan.Kill(s, all) }},
		"rm":      {stop, func(s *state.Project) (*plan.Plan, error) { return plan.Remove(d, s, all) }},
		"down": {nil, func(s *state.Project) (*plan.Plan, error) {
			return plan.Down(d, s, plan.DownOptions{Volumes: true}), nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for n, reached := 1, true; reached; n++ {
				synctest.Test(t, func(t *testing.T) {
					e := memory.New()
					defer e.Close()
					e.AddImage("web", container.Config{})
					mustRun(t, e, text)
					l := &lossy{Engine: e, first: n, last: n, carriedOut: true, err: engine.ErrUnavailable, starts: map[string]int{}}
					if c.before != nil {
						applyTo(t, e, e, d, c.before)
					}
					applyTo(t, e, l, d, c.make)
					reached = len(l.what) > 0
				})
			}
		})
	}
}

// applyTo makes a plan for what one engine has and carries it out on the other.
func applyTo(t *testing.T, seen, e engine.Engine, d *desired.Project, make func(*state.Project) (*plan.Plan, error)) {
	t.Helper()
	now, err := observe.Project(t.Context(), seen, d.Name, d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := make(now)
	if err != nil {
		t.Fatal(err)
	}
	if err := convergence.Apply(t.Context(), e, p, convergence.Options{}, nil); err != nil {
		t.Errorf("plan\n%s%v", p.Text(), err)
	}
}

// Two machines bring the same project up on one engine at the same time: no lock keeps them apart, and both succeed.
func TestTwoMachinesBringUpOneProject(t *testing.T) {
	changed := strings.Replace(full, `"100000"]`, `"200000"]`, 1)
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("web", container.Config{})
		e.AddRemoteImage("db", container.Config{Volumes: map[string]struct{}{"/image": {}}})
		for _, text := range []string{full, changed} {
			errs := make(chan error)
			for range 2 {
				d := want(t, text)
				go func() {
					_, err := convergence.Run(t.Context(), e, d, convergence.Options{Up: plan.UpOptions{Wait: true}}, nil)
					errs <- err
				}()
			}
			if err := errors.Join(<-errs, <-errs); err != nil {
				t.Error(err)
			}
			if again := mustRun(t, e, text); again.Changed {
				t.Error("the next run changes something")
			}
		}
	})
}

// What stays in the way is reported at once: trying again would only repeat the message.
func TestWhatBelongsToOthersIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("web", container.Config{Cmd: []string{"sleep", "1000"}})
		if _, err := e.ContainerCreate(t.Context(), "mine", engine.CreateConfig{Config: &container.Config{Image: "web"}}); err != nil {
			t.Fatal(err)
		}
		attempts := 0
		sink := func(event execute.Event) {
			if _, creates := event.Operation.(*plan.CreateContainer); creates && event.Phase == execute.Started {
				attempts++
			}
		}
		_, err := convergence.Run(t.Context(), e, want(t, "services: {a: {image: web, container_name: mine}}"), convergence.Options{}, sink)
		if !errors.Is(err, engine.ErrConflict) || attempts != 1 {
			t.Errorf("%d attempts, error %v", attempts, err)
		}
	})
}

// An engine that is gone for good is reported, with what it was wanted for.
func TestAnEngineThatDoesNotComeBackIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("web", container.Config{Cmd: []string{"sleep", "1000"}})
		l := &lossy{Engine: e, first: 2, last: 1000, err: engine.ErrUnavailable, starts: map[string]int{}}
		_, err := convergence.Run(t.Context(), l, want(t, "services: {a: {image: web}}"), convergence.Options{}, nil)
		if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "create network x_default") {
			t.Errorf("error %v", err)
		}
		if len(l.what) != 4 {
			t.Errorf("it tried %q", l.what)
		}
	})
}
