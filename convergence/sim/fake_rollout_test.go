package sim

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// trial is a fake on which one call of an update goes wrong.
type trial struct {
	*fake
	cancel context.CancelFunc // of the run

	mu    sync.Mutex
	at    int // which write of the update goes wrong, from 1; 0: none
	how   string
	calls int
	hit   string // the call that went wrong

	sick  string        // the name of the new container whose health check fails
	dies  string        // the name of the new container that exits
	after time.Duration // its start
	least int           // how few containers of the service ever ran at the same time
}

// What may happen to a write.
const (
	fails     = "fails"
	lost      = "succeeds, and the answer is lost"
	cancelled = "is interrupted"
	killed    = "is the last one: the program is killed"
)

var failures = []string{fails, lost, cancelled, killed}

// arm makes the writes count from now on.
func (e *trial) arm() {
	e.least = len(e.containers)
	e.fake.before = func(call string) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls++
		e.least = min(e.least, e.running())
		if e.at == 0 || e.calls != e.at && (e.how != killed || e.calls < e.at) {
			return nil
		}
		e.hit = call
		switch e.how {
		case fails, killed:
			return errInjected
		case cancelled:
			e.cancel()
		}
		return nil
	}
}

// disarm lets everything go well.
func (e *trial) disarm() {
	e.least = min(e.least, e.running())
	e.fake.before, e.at, e.sick, e.dies = nil, 0, "", ""
}

func (e *trial) running() int {
	e.fake.mu.Lock()
	defer e.fake.mu.Unlock()
	n := 0
	for _, r := range e.containers {
		if r.status == container.StateRunning {
			n++
		}
	}
	return n
}

// answer is the error of a call that was carried out.
func (e *trial) answer(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err == nil && e.how == lost && e.calls == e.at {
		return errInjected
	}
	return err
}

func (e *trial) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (container.CreateResponse, error) {
	out, err := e.fake.ContainerCreate(ctx, name, cfg)
	return out, e.answer(err)
}

func (e *trial) ContainerStart(ctx context.Context, ref string) error {
	err := e.fake.ContainerStart(ctx, ref)
	if r := e.new(ref); err == nil && r != nil && e.dies != "" && r.numbered() == e.dies {
		time.AfterFunc(e.after, func() { e.die(r) })
	}
	return e.answer(err)
}

func (e *trial) die(r *record) {
	e.fake.mu.Lock()
	defer e.fake.mu.Unlock()
	r.status, r.exit = container.StateExited, 9
	e.tell(r, events.ActionDie)
}

func (e *trial) ContainerStop(ctx context.Context, ref string, o container.StopOptions) error {
	return e.answer(e.fake.ContainerStop(ctx, ref, o))
}

func (e *trial) ContainerRename(ctx context.Context, ref, name string) error {
	return e.answer(e.fake.ContainerRename(ctx, ref, name))
}

func (e *trial) ContainerRemove(ctx context.Context, ref string, o container.RemoveOptions) error {
	return e.answer(e.fake.ContainerRemove(ctx, ref, o))
}

func (e *trial) ExecStart(ctx context.Context, id string, detached bool, o engine.AttachOptions) error {
	return e.answer(e.fake.ExecStart(ctx, id, detached, o))
}

func (e *trial) ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	c, err := e.fake.ContainerInspect(ctx, ref)
	if r := e.new(ref); err == nil && r != nil && e.sick != "" && r.numbered() == e.sick && c.State.Health != nil {
		c.State.Health = &container.Health{Status: container.Unhealthy, Log: []*container.HealthcheckResult{{Output: "no"}}}
	}
	return c, err
}

// handsOver says that one of the containers is there to take the other's place, so that both may have the same ports.
func handsOver(a, b *record) bool {
	return a.cfg.Config.Labels[desired.LabelTakesOver] == b.id || b.cfg.Config.Labels[desired.LabelTakesOver] == a.id
}

// new is the container if it is one that the update has made, else nil.
func (e *trial) new(ref string) *record {
	e.fake.mu.Lock()
	defer e.fake.mu.Unlock()
	r, err := e.find(ref)
	if err != nil || !r.updated() {
		return nil
	}
	return r
}

// updated says that the container has the environment that it gets by the update.
func (r *record) updated() bool { return slices.Contains(r.cfg.Config.Env, "A=2") }

// numbered is the name that the container has in the end.
func (r *record) numbered() string {
	return "x-web-" + r.cfg.Config.Labels["com.docker.compose.container-number"]
}
