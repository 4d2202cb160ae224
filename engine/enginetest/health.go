package enginetest

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

func checked(h container.HealthConfig) option {
	return config(func(c *container.Config) { c.Healthcheck = &h })
}

// healthEvents subscribes to the changes of a container's health.
func (f *fixture) healthEvents(id string) (<-chan events.Message, <-chan error) {
	ctx, cancel := context.WithCancel(f.ctx)
	f.Cleanup(cancel)
	return f.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("container", id), filters.Arg("event", "health_status"))})
}

var healthCases = []testCase{
	{"starting, healthy, unhealthy and healthy again", func(f *fixture) {
		id := f.create(sh("touch /tmp/fine; sleep 1000"), checked(container.HealthConfig{
			Test: []string{"CMD", "test", "-f", "/tmp/fine"}, Interval: 100 * time.Millisecond, Retries: 2,
		}))
		changes, errs := f.healthEvents(id)
		f.must(f.ContainerStart(f.ctx, id))
		if h := f.inspect(id).State.Health; h == nil {
			f.Fatal("it has no health")
		}
		want := func(status string) {
			f.Helper()
			if m := f.nextEvent(changes, errs); !strings.HasSuffix(string(m.Action), ": "+status) {
				f.Fatalf("got event %q, want %s", m.Action, status)
			}
			if got := f.inspect(id).State.Health; got.Status != status {
				f.Fatalf("it is %q, want %s", got.Status, status)
			}
		}
		want("healthy")
		f.exec(id, "rm /tmp/fine")
		want("unhealthy")
		if h := f.inspect(id).State.Health; h.FailingStreak < 2 || len(h.Log) == 0 || h.Log[len(h.Log)-1].ExitCode != 1 {
			f.Errorf("health is %+v", h)
		}
		f.exec(id, "touch /tmp/fine")
		want("healthy")
	}},
	{"the check's output is kept", func(f *fixture) {
		id := f.create(checked(container.HealthConfig{
			Test: []string{"CMD-SHELL", "echo so it is; exit 1"}, Interval: 100 * time.Millisecond, Retries: 1,
		}))
		changes, errs := f.healthEvents(id)
		f.must(f.ContainerStart(f.ctx, id))
		f.nextEvent(changes, errs)
		h := f.inspect(id).State.Health
		if h.Status != "unhealthy" || len(h.Log) == 0 || h.Log[0].Output != "so it is\n" || h.Log[0].ExitCode != 1 {
			f.Errorf("health is %+v", h)
		}
	}},
	{"failures in the start period do not count", func(f *fixture) {
		id := f.create(sh("trap 'touch /tmp/fine; sleep 1000' TERM; sleep 1000 & wait"), checked(container.HealthConfig{
			Test: []string{"CMD", "test", "-f", "/tmp/fine"}, Interval: 50 * time.Millisecond, Retries: 1, StartPeriod: time.Hour,
		}))
		changes, errs := f.healthEvents(id)
		f.must(f.ContainerStart(f.ctx, id))
		f.exec(id, "sleep 0.3")
		if h := f.inspect(id).State.Health; h.Status != "starting" {
			f.Errorf("after failed checks it is %q, want starting", h.Status)
		}
		f.must(f.ContainerKill(f.ctx, id, "TERM"))
		if m := f.nextEvent(changes, errs); !strings.HasSuffix(string(m.Action), ": healthy") {
			f.Errorf("got event %q, want healthy", m.Action)
		}
	}},
	{"none switches the image's check off", func(f *fixture) {
		id := f.run(checked(container.HealthConfig{Test: []string{"NONE"}}))
		if h := f.inspect(id).State.Health; h != nil && h.Status != "" && h.Status != container.NoHealthcheck {
			f.Errorf("health is %+v", h)
		}
	}},
}
