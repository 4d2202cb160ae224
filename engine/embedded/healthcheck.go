package embedded

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"syscall"

	dockercontainer "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/container/health"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// monitorTable knows which containers are being probed.
type monitorTable struct {
	mu  sync.Mutex
	all map[string]context.CancelFunc
}

// beginHealth is the health of a container that starts.
func beginHealth(r *container.Record) {
	if r.Health != nil {
		starting := health.Starting()
		r.Health = &starting
	}
}

// endHealth is the health of a container that has ended. Docker calls it unhealthy.
func endHealth(r *container.Record) {
	if r.Health != nil {
		ended := *r.Health
		ended.Status = dockercontainer.Unhealthy
		r.Health = &ended
	}
}

// startMonitor begins to probe the container if it has a health check.
func (e *Engine) startMonitor(c *container.Container) {
	record := c.Record()
	cfg, ok := health.ConfigOf(record.Config.Healthcheck, record.Config.Shell)
	if !ok {
		return
	}
	state := health.Starting()
	if record.Health != nil {
		state = *record.Health
	}
	ctx, cancel := context.WithCancel(e.background)
	e.monitors.mu.Lock()
	if e.monitors.all == nil {
		e.monitors.all = map[string]context.CancelFunc{}
	}
	if earlier := e.monitors.all[c.ID]; earlier != nil {
		earlier()
	}
	e.monitors.all[c.ID] = cancel
	e.monitors.mu.Unlock()
	monitor := health.Monitor{
		Config: cfg, StartedAt: record.State.StartedAt, State: state,
		Probe: func(ctx context.Context, command []string) (int, string, error) { return e.probe(ctx, c.ID, command) },
		Report: func(s health.State) {
			if ctx.Err() == nil {
				e.healthReported(c, s)
			}
		},
	}
	e.task(func(context.Context) { monitor.Run(ctx) })
}

// stopMonitor ends the probing. What a probe under way finds is not reported any more.
func (e *Engine) stopMonitor(id string) {
	e.monitors.mu.Lock()
	defer e.monitors.mu.Unlock()
	if cancel := e.monitors.all[id]; cancel != nil {
		cancel()
		delete(e.monitors.all, id)
	}
}

// healthReported keeps the container's health. It is stored when the status changes; the log of probes alone is not
// worth a write.
func (e *Engine) healthReported(c *container.Container, s health.State) {
	changed := false
	c.Change(func(r *container.Record) {
		changed = r.HealthStatus() != s.Status
		r.Health = &s
	})
	if !changed {
		return
	}
	if s.Status == dockercontainer.Healthy && e.networks.Ready(c.ID) {
		e.pushNames(e.background)
	}
	record := c.Record()
	e.containerEvent(&record, events.Action("health_status: "+s.Status))
	if err := c.Save(); err != nil {
		slog.Error("cannot store the health of a container", "container", record.Name, "error", err)
	}
}

// probe runs a health check's command in the container. When ctx is done it kills the command.
func (e *Engine) probe(ctx context.Context, id string, command []string) (int, string, error) {
	output := &limitedBuffer{limit: health.OutputLimit}
	execID := newID()
	status, err := e.runtime.Exec(ctx, id, runtime.ExecConfig{ExecID: execID, Args: command}, runtime.Streams{Stdout: output, Stderr: output}, nil)
	if ctx.Err() != nil {
		// Exec has returned and the command goes on, unless it has just ended by itself.
		_ = e.runtime.SignalExec(context.WithoutCancel(ctx), id, execID, syscall.SIGKILL)
	}
	return status.Code, output.String(), err
}

// limitedBuffer keeps the beginning of what is written to it.
type limitedBuffer struct {
	mu    sync.Mutex
	limit int
	kept  bytes.Buffer
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept.Write(p[:min(len(p), b.limit-b.kept.Len())])
	return len(p), nil
}

func (b *limitedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.String()
}
