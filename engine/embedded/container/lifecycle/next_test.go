package lifecycle

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func policy(name container.RestartPolicyMode, retries int) Rules {
	return Rules{Restart: container.RestartPolicy{Name: name, MaximumRetryCount: retries}}
}

func TestNext(t *testing.T) {
	running := State{Phase: Running, Pid: 7, StartedAt: epoch}
	backingOff := State{Phase: Restarting, ExitCode: 1, FinishedAt: epoch, RestartCount: 3, Backoff: 400 * time.Millisecond}
	exit := func(code int, after time.Duration) ExitSeen { return ExitSeen{Code: code, At: epoch.Add(after)} }

	for _, test := range []struct {
		name    string
		state   State
		rules   Rules
		event   Event
		phase   Phase
		actions []Action
	}{
		{"a new one is launched when asked", State{Phase: Created}, Rules{}, StartAsked{}, Created, []Action{Launch{}}},
		{"a running one is left alone when asked to start", running, Rules{}, StartAsked{}, Running, nil},
		{"a start ends the back-off", backingOff, Rules{}, StartAsked{}, Exited, []Action{CancelRestart{}, Launch{}}},
		{"started is running", State{Phase: Created}, Rules{}, Started{Pid: 1}, Running, nil},
		{"a failed first start stays created", State{Phase: Created}, policy("always", 0), StartFailed{Code: 127}, Created, nil},
		{"a failed first start of a throw-away removes it", State{Phase: Created}, Rules{AutoRemove: true}, StartFailed{Code: 127}, Created, []Action{Remove{}}},
		{"a failed automatic start tries again", backingOff, policy("always", 0), StartFailed{Code: 125}, Restarting, []Action{RestartAfter{800 * time.Millisecond}}},
		{"without a policy an exit is the end", running, policy("no", 0), exit(1, time.Second), Exited, nil},
		{"an exit removes a throw-away", running, Rules{AutoRemove: true}, exit(0, time.Second), Exited, []Action{Remove{}}},
		{"always restarts a success", running, policy("always", 0), exit(0, time.Second), Restarting, []Action{RestartAfter{0}}},
		{"unless-stopped restarts a success", running, policy("unless-stopped", 0), exit(0, time.Second), Restarting, []Action{RestartAfter{0}}},
		{"on-failure leaves a success alone", running, policy("on-failure", 0), exit(0, time.Second), Exited, nil},
		{"on-failure restarts a failure", running, policy("on-failure", 0), exit(3, time.Second), Restarting, []Action{RestartAfter{0}}},
		{"on-failure gives up at its maximum", State{Phase: Running, RestartCount: 3, StartedAt: epoch}, policy("on-failure", 3), exit(3, time.Second), Exited, nil},
		{"the second restart waits", State{Phase: Running, StartedAt: epoch, RestartCount: 1}, policy("always", 0), exit(0, time.Second), Restarting, []Action{RestartAfter{FirstBackoff}}},
		{"the back-off doubles", State{Phase: Running, StartedAt: epoch, RestartCount: 2, Backoff: time.Second}, policy("always", 0), exit(0, time.Second), Restarting, []Action{RestartAfter{2 * time.Second}}},
		{"the back-off has an end", State{Phase: Running, RestartCount: 9, StartedAt: epoch, Backoff: 50 * time.Second}, policy("always", 0), exit(0, time.Second), Restarting, []Action{RestartAfter{LongestBackoff}}},
		{"a steady run resets the back-off", State{Phase: Running, RestartCount: 9, StartedAt: epoch, Backoff: time.Minute}, policy("always", 0), exit(0, SteadyAfter), Restarting, []Action{RestartAfter{0}}},
		{"a paused one can be killed", State{Phase: Paused, StartedAt: epoch}, Rules{}, exit(137, time.Second), Exited, nil},
		{"a manual stop is respected", State{Phase: Running, Stopped: true, StartedAt: epoch}, policy("always", 0), exit(143, time.Second), Exited, nil},
		{"an exit is seen once", State{Phase: Exited}, policy("always", 0), exit(1, 0), Exited, nil},
		{"stop ends the back-off", backingOff, policy("always", 0), StopAsked{}, Exited, []Action{CancelRestart{}}},
		{"stop of a stopped one does nothing", State{Phase: Exited}, policy("always", 0), StopAsked{}, Exited, nil},
		{"the back-off ends with a launch", backingOff, policy("always", 0), RestartDue{}, Restarting, []Action{Launch{}}},
		{"a late timer does nothing", running, policy("always", 0), RestartDue{}, Running, nil},
		{"pause", running, Rules{}, PauseDone{}, Paused, nil},
		{"resume", State{Phase: Paused}, Rules{}, ResumeDone{}, Running, nil},
		{"pause of a stopped one does nothing", State{Phase: Exited}, Rules{}, PauseDone{}, Exited, nil},
		{"a new engine goes on with the back-off", backingOff, policy("always", 0), Reopened{epoch.Add(100 * time.Millisecond)}, Restarting, []Action{RestartAfter{300 * time.Millisecond}}},
		{"a new engine does not wait for what is overdue", backingOff, policy("always", 0), Reopened{epoch.Add(time.Hour)}, Restarting, []Action{RestartAfter{0}}},
		{"a new engine respects a manual stop", State{Phase: Exited, Stopped: true}, policy("always", 0), Reopened{epoch}, Exited, nil},
		{"a new engine starts what was meant to run", State{Phase: Exited}, policy("unless-stopped", 0), Reopened{epoch}, Restarting, []Action{RestartAfter{0}}},
		{"a new engine leaves what was never started", State{Phase: Created}, policy("always", 0), Reopened{epoch}, Created, nil},
		{"a new engine finishes a removal", State{Phase: Removing}, Rules{}, Reopened{epoch}, Removing, []Action{Remove{}}},
		{"giving up the policy ends the back-off", backingOff, policy("no", 0), RulesChanged{}, Exited, []Action{CancelRestart{}}},
		{"removal ends the back-off", backingOff, policy("always", 0), RemoveAsked{}, Removing, []Action{CancelRestart{}}},
		{"a failed removal leaves it dead", State{Phase: Removing}, Rules{}, RemoveFailed{"disk on fire"}, Dead, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, actions := Next(test.state, test.rules, test.event)
			if got.Phase != test.phase {
				t.Errorf("phase %q, want %q", got.Phase, test.phase)
			}
			if !reflect.DeepEqual(actions, test.actions) {
				t.Errorf("actions %#v, want %#v", actions, test.actions)
			}
		})
	}
}

func TestStartForgetsWhatWasBefore(t *testing.T) {
	s := State{Phase: Exited, RestartCount: 4, Backoff: time.Minute, Stopped: true, ExitCode: 9, Error: "x", OOMKilled: true}
	s, _ = Next(s, Rules{}, StartAsked{})
	s, _ = Next(s, Rules{}, Started{Pid: 12, At: epoch})
	want := State{Phase: Running, Pid: 12, StartedAt: epoch}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// Whatever happens in whatever order: only an active container has a pid, a manual stop is never followed by an
// automatic launch, and the back-off stays in its bounds.
func TestNextKeepsItsPromises(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	names := []container.RestartPolicyMode{"", "no", "always", "unless-stopped", "on-failure"}

	for range 2000 {
		rules := Rules{Restart: container.RestartPolicy{Name: names[random.IntN(len(names))]}, AutoRemove: random.IntN(8) == 0}
		s, now := State{Phase: Created}, epoch
		for range 30 {
			now = now.Add(time.Duration(random.IntN(20)) * time.Second)
			e := randomEvent(random, now)
			before := s
			var actions []Action
			s, actions = Next(s, rules, e)
			if s.Pid != 0 && !s.Active() {
				t.Fatalf("%+v --%T--> %+v has a pid", before, e, s)
			}
			if s.Backoff != 0 && (s.Backoff < FirstBackoff || s.Backoff > LongestBackoff) {
				t.Fatalf("%+v --%T--> %+v: back-off out of bounds", before, e, s)
			}
			checkActions(t, before, e, s, actions)
		}
	}
}

func checkActions(t *testing.T, before State, e Event, after State, actions []Action) {
	t.Helper()
	for _, action := range actions {
		switch action.(type) {
		case RestartAfter:
			if after.Phase != Restarting || before.Stopped {
				t.Fatalf("%+v --%T--> %+v: restart that nobody wants", before, e, after)
			}
		case CancelRestart:
			if before.Phase != Restarting {
				t.Fatalf("%+v --%T--> %+v: nothing to cancel", before, e, after)
			}
		}
	}
}

func randomEvent(random *rand.Rand, now time.Time) Event {
	all := []Event{StartAsked{}, Started{Pid: 5, At: now}, StartFailed{Code: 126, At: now}, ExitSeen{Code: random.IntN(2), At: now},
		StopAsked{}, PauseDone{}, ResumeDone{}, RestartDue{}, Reopened{now}, RulesChanged{}, RemoveAsked{}}
	// Removal is the end; it comes seldom, or nothing else would be seen.
	if i := random.IntN(len(all) + 40); i < len(all) {
		return all[i]
	}
	return all[random.IntN(len(all)-1)]
}
