package convergence

import (
	"time"

	"stackrun.dev/stack/convergence/state"
)

// How long is waited before something is tried again: from the first to the last, twice as long each time.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// recovered is how long a container has to be healthy until its illness before is forgotten.
const recovered = 10 * time.Minute

// retry is when something is tried again. The zero value: nothing has failed.
type retry struct {
	at    time.Time
	pause time.Duration // before the last attempt
}

func (r *retry) again(now time.Time) {
	r.pause = min(max(2*r.pause, firstRetry), lastRetry)
	r.at = now.Add(r.pause)
}

// illness is the story of a container that was unhealthy.
type illness struct {
	due  retry     // when it is restarted; at is zero when it is not unhealthy now
	well time.Time // since when it has been healthy after that; zero if it has not
}

// examine takes in how the containers are that are to be restarted when they are unhealthy.
func (k *keeper) examine(out outcome, now time.Time) {
	for name := range out.restarted {
		k.ills[name].due.at = time.Time{}
	}
	for name, health := range out.health {
		ill := k.ills[name]
		switch {
		case health == state.Unhealthy && out.restarted[name]: // of before
		case health == state.Unhealthy:
			k.sicken(name, now)
		case ill == nil:
		case health == state.Healthy:
			ill.due.at = time.Time{}
			if ill.well.IsZero() {
				ill.well = now
			}
		default:
			ill.due.at = time.Time{}
		}
	}
	for name := range k.ills {
		if _, there := out.health[name]; !there && out.health != nil {
			delete(k.ills, name)
		}
	}
}

// sicken sets when the container is restarted, unless that is set.
func (k *keeper) sicken(name string, now time.Time) {
	ill := k.ills[name]
	if ill == nil || !ill.well.IsZero() && now.Sub(ill.well) >= recovered {
		ill = &illness{}
		k.ills[name] = ill
	}
	ill.well = time.Time{}
	if ill.due.at.IsZero() {
		ill.due.again(now)
	}
}

// due are the names of containers whose time has come.
func (k *keeper) due(now time.Time) map[string]bool {
	out := make(map[string]bool)
	for name, ill := range k.ills {
		if !ill.due.at.IsZero() && !ill.due.at.After(now) {
			out[name] = true
		}
	}
	return out
}
