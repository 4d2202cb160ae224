package container

import (
	"fmt"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-units"

	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// StatusText is the state as lists show it: "Up 3 seconds (healthy)".
func StatusText(r *Record, now time.Time) string {
	s := r.State
	ago := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch s.Phase {
	case lifecycle.Running:
		if health := healthText(r); health != "" {
			return fmt.Sprintf("Up %s (%s)", ago(s.StartedAt), health)
		}
		return "Up " + ago(s.StartedAt)
	case lifecycle.Paused:
		return fmt.Sprintf("Up %s (Paused)", ago(s.StartedAt))
	case lifecycle.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, ago(s.FinishedAt))
	case lifecycle.Removing:
		return "Removal In Progress"
	case lifecycle.Dead:
		return "Dead"
	case lifecycle.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.FinishedAt))
	default:
		return "Created"
	}
}

func healthText(r *Record) string {
	if r.Health == nil {
		return ""
	}
	if r.Health.Status == container.Starting {
		return "health: starting"
	}
	return r.Health.Status
}

// HealthStatus is the word that filters and waits compare; "none" without a health check.
func (r *Record) HealthStatus() string {
	if r.Health == nil {
		return container.NoHealthcheck
	}
	return r.Health.Status
}
