package memory

import (
	"bytes"
	"context"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
)

// Docker's values for what a health check does not say.
const (
	defaultInterval      = 30 * time.Second
	defaultTimeout       = 30 * time.Second
	defaultStartInterval = 5 * time.Second
	defaultRetries       = 3
	keptResults          = 5
)

// watchHealth runs the health check for as long as the container runs.
func (e *Engine) watchHealth(c *ctr, r *run) {
	h := c.config.Healthcheck
	if h == nil || len(h.Test) == 0 || h.Test[0] == "NONE" {
		c.health = nil
		return
	}
	c.health = &container.Health{Status: container.Starting}
	test := h.Test[1:]
	if h.Test[0] == "CMD-SHELL" {
		test = append([]string{"sh", "-c"}, test...)
	}
	e.running.Go(func() {
		for began := time.Now(); ; {
			timer := time.NewTimer(e.checkDelay(c, began))
			select {
			case <-timer.C:
			case <-r.done:
				timer.Stop()
				return
			}
			e.check(c, r, test, began)
		}
	})
}

// checkDelay is how long to wait for the next check: in the start period they may come faster.
func (e *Engine) checkDelay(c *ctr, began time.Time) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := c.config.Healthcheck
	if c.health.Status == container.Starting && h.StartPeriod > 0 && h.StartInterval > 0 && time.Since(began) < h.StartPeriod {
		return h.StartInterval
	}
	if h.Interval > 0 {
		return h.Interval
	}
	return defaultInterval
}

func (e *Engine) check(c *ctr, r *run, test []string, began time.Time) {
	started := now()
	code, output := e.probe(c, r, test)
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.run != r {
		return
	}
	c.health.Log = append(c.health.Log, &container.HealthcheckResult{Start: started, End: now(), ExitCode: code, Output: output})
	c.health.Log = c.health.Log[max(0, len(c.health.Log)-keptResults):]
	status := nextHealth(c.health, c.config.Healthcheck, code == 0, time.Since(began))
	if status != c.health.Status {
		c.health.Status = status
		c.unready = c.unready && status != container.Healthy
		e.event(c, events.Action("health_status: "+status), nil)
	}
}

// nextHealth counts a result and says what the container is now.
func nextHealth(h *container.Health, cfg *container.HealthConfig, good bool, age time.Duration) string {
	if good {
		h.FailingStreak = 0
		return container.Healthy
	}
	if h.Status == container.Starting && age < cfg.StartPeriod {
		return h.Status
	}
	h.FailingStreak++
	retries := cfg.Retries
	if retries == 0 {
		retries = defaultRetries
	}
	if h.FailingStreak >= retries {
		return container.Unhealthy
	}
	return h.Status
}

// probe runs the check. One that takes too long or cannot be executed has failed.
func (e *Engine) probe(c *ctr, r *run, test []string) (int, string) {
	timeout := c.config.Healthcheck.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	x := &execution{ctr: c, control: newControl(), stdin: newPipe(), opts: container.ExecOptions{Cmd: test}}
	x.stdin.close()
	out := &attached{output: newPipe(), stderr: newPipe()}
	if err := e.startExec(x, out); err != nil {
		return -1, err.Error()
	}
	var text bytes.Buffer
	defer context.AfterFunc(ctx, func() { x.control.send(syscall.SIGKILL) })()
	_, _ = text.ReadFrom(out.output)
	_, _ = text.ReadFrom(out.stderr)
	if ctx.Err() != nil {
		return -1, "Health check exceeded timeout (" + timeout.String() + ")"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return x.code, text.String()
}
