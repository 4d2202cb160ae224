package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/plan"
)

// rolling is an update as a test of it goes through.
type rolling struct {
	order       desired.Order
	replicas    int
	parallelism int
	action      desired.FailureAction
	hooks       bool

	before, after *desired.Project
}

func (r rolling) String() string {
	return fmt.Sprintf("%s of %d, %d at a time, %s, hooks %t", r.order, r.replicas, r.parallelism, r.action, r.hooks)
}

// text is the project with this value in the environment.
func (r rolling) text(value int) string {
	text := fmt.Sprintf(`services:
  web:
    image: web
    environment: {A: "%d"}
    healthcheck: {test: exit 0}
    deploy:
      replicas: %d
      update_config: {order: %s, parallelism: %d, failure_action: %s, monitor: 5s, delay: 10s}
`, value, r.replicas, r.order, r.parallelism, r.action)
	if r.hooks {
		text += "    pre_start: [{command: a}, {command: b, per_replica: true}, {command: e}]\n    post_start: [{command: c}]\n    pre_stop: [{command: d}]\n"
	}
	return text
}

func allRollings() []rolling {
	var out []rolling
	for _, order := range []desired.Order{desired.StartFirst, desired.StopFirst} {
		for _, replicas := range []int{1, 3} {
			for parallelism := range 3 {
				for _, action := range []desired.FailureAction{desired.FailureRollback, desired.FailurePause, desired.FailureContinue} {
					out = append(out, rolling{order: order, replicas: replicas, parallelism: parallelism, action: action, hooks: parallelism == 1})
				}
			}
		}
	}
	return out
}

// stand brings the old project up and returns the engine with what is wanted now.
func (r rolling) stand(t *testing.T) (*trial, *desired.Project, map[string]string) {
	t.Helper()
	e := &trial{fake: newFake()}
	up(t, e.fake, r.before, plan.UpOptions{})
	old := make(map[string]string)
	for id, c := range e.containers {
		old[c.name] = id
	}
	return e, r.after, old
}

// run updates, without restoring anything if the program is killed.
func (e *trial) run(t *testing.T, d *desired.Project) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e.cancel = cancel
	e.arm()
	defer e.disarm()
	if e.how != killed {
		o := convergence.Options{}
		if e.how == lost { // so that it is clear whose answer it is
			o.Execute.Limit = 1
		}
		_, err := convergence.Run(ctx, e, d, o, nil)
		return err
	}
	p, err := convergence.Plan(ctx, e, d, plan.UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return execute.Run(ctx, e, p, execute.Options{}, nil).Err()
}

// An update may go wrong at each of its writes, in each of the ways in which writes go wrong. Then what runs is what the
// failure action says, and a further run leads to where a fresh start does.
func TestAnUpdateFailsAnywhere(t *testing.T) {
	for _, r := range allRollings() {
		t.Run(r.String(), func(t *testing.T) {
			r.before, r.after = parse(t, r.text(1)), parse(t, r.text(2))
			for _, how := range failures {
				if how != fails && r.action != desired.FailureRollback {
					continue // what happens then does not depend on the action
				}
				for at := 1; r.failAt(t, how, at); at++ {
				}
			}
		})
	}
}

// failAt is false if the update has no such write.
func (r rolling) failAt(t *testing.T, how string, at int) (there bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, d, old := r.stand(t)
		e.how, e.at = how, at
		err := e.run(t, d)
		there = e.hit != ""
		if there == (err == nil) && how != cancelled {
			t.Fatalf("%q %s: error %v", e.hit, how, err)
		}
		if there && how == fails {
			r.check(t, e, old, strings.HasPrefix(e.hit, "remove "))
		}
		if there && (how == fails || how == lost) && e.least < r.fewest() {
			t.Errorf("%q %s: only %d containers ran", e.hit, how, e.least)
		}
		if !there && e.least < r.fewest() {
			t.Errorf("only %d containers ran", e.least)
		}
		r.recover(t, e, d, e.hit+" "+how)
	})
	return there
}

// fewest is how many containers have to run at any time.
func (r rolling) fewest() int {
	switch {
	case r.order == desired.StartFirst:
		return r.replicas
	case r.parallelism == 0:
		return 0
	case r.action == desired.FailureContinue: // one that failed is brought back in the end
		return max(0, r.replicas-r.parallelism-1)
	}
	return max(0, r.replicas-r.parallelism)
}

// check compares what runs after the failure with what the action says. Nothing else is there.
func (r rolling) check(t *testing.T, e *trial, old map[string]string, complete bool) {
	t.Helper()
	var kept, updated []string
	for name, id := range old {
		c, err := e.find(name)
		switch {
		case err != nil || c.status != "running":
			t.Errorf("%s: %s does not run (%v)\n%s", e.hit, name, err, e.history())
		case c.id == id:
			kept = append(kept, name)
		default:
			updated = append(updated, name)
		}
	}
	slices.Sort(kept)
	others := 0
	for _, c := range e.containers {
		if c.cfg.Config.Labels[desired.LabelHook] == "" && old[c.name] == "" {
			others++
		}
	}
	switch {
	case complete: // what could not be removed is still there
		if len(kept) > 0 {
			t.Errorf("%s: %v are as before", e.hit, kept)
		}
		return
	case others > 0:
		t.Errorf("%s: %d containers are left over\n%s", e.hit, others, e.history())
	}
	want := map[desired.FailureAction]bool{
		desired.FailureRollback: len(updated) == 0,
		desired.FailurePause:    len(kept) > 0,
		desired.FailureContinue: len(kept) == 1 || r.hooks && len(kept) > 0, // a hook that failed was for all of them
	}
	if !want[r.action] {
		t.Errorf("%s: %v are as before, %v are new\n%s", e.hit, kept, updated, e.history())
	}
}

func (e *trial) history() string { return strings.Join(e.fake.calls, "\n") }

// recover runs again, undisturbed, and compares with a start from nothing.
func (r rolling) recover(t *testing.T, e *trial, d *desired.Project, what string) {
	t.Helper()
	if _, err := convergence.Run(t.Context(), e, d, convergence.Options{}, nil); err != nil {
		t.Fatalf("after %s: %v\n%s", what, err, e.history())
	}
	p, err := convergence.Plan(t.Context(), e, d, plan.UpOptions{})
	if err != nil || !p.Empty() {
		t.Fatalf("after %s it is not converged: %v\n%s", what, err, p.Text())
	}
	checkAgainstFresh(t, e.fake, d, what)
	if len(e.containers) != r.replicas {
		t.Errorf("after %s there are %d containers\n%s", what, len(e.containers), e.history())
	}
}

// The new container of each replica may be unhealthy, or exit while it is watched.
func TestAnUpdateWhoseContainersFail(t *testing.T) {
	for _, r := range allRollings() {
		t.Run(r.String(), func(t *testing.T) {
			r.before, r.after = parse(t, r.text(1)), parse(t, r.text(2))
			for number := 1; number <= r.replicas; number++ {
				name := fmt.Sprintf("x-web-%d", number)
				r.failing(t, func(e *trial) { e.sick = name }, "container ", name+" is unhealthy")
				r.failing(t, func(e *trial) { e.dies, e.after = name, 3*time.Second }, "container ", name+" exited (9) within 5s of its start")
			}
		})
	}
}

func (r rolling) failing(t *testing.T, spoil func(*trial), says ...string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, d, old := r.stand(t)
		spoil(e)
		err := e.run(t, d)
		update, ok := errors.AsType[*convergence.UpdateError](err)
		if !ok {
			t.Fatalf("error %v", err)
		}
		for _, part := range append(says, "the update of web failed: ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		want := "the old containers run on"
		if strings.Contains(e.history(), "\nstop x-web-") {
			want = "the old containers are back"
		}
		if r.action == desired.FailureRollback && update.Outcome != want {
			t.Errorf("outcome: %s, want: %s", update.Outcome, want)
		}
		r.check(t, e, old, false)
		if e.least < r.fewest() {
			t.Errorf("only %d containers ran\n%s", e.least, e.history())
		}
		r.recover(t, e, d, says[len(says)-1])
	})
}

// Watching and pausing take the time that the file states, and no more; and they end with the run.
func TestAnUpdateTakesTheTimeItStates(t *testing.T) {
	r := rolling{order: desired.StopFirst, replicas: 3, parallelism: 1, action: desired.FailurePause}
	r.before, r.after = parse(t, r.text(1)), parse(t, r.text(2))
	synctest.Test(t, func(t *testing.T) {
		e, d, _ := r.stand(t)
		start := time.Now()
		if err := e.run(t, d); err != nil {
			t.Fatal(err)
		}
		if took, want := time.Since(start), 3*5*time.Second+2*10*time.Second; took != want {
			t.Errorf("it took %s, want %s", took, want)
		}
	})
	for _, after := range []time.Duration{2 * time.Second, 7 * time.Second} { // while it watches, and while it pauses
		synctest.Test(t, func(t *testing.T) {
			e, d, _ := r.stand(t)
			enough := errors.New("the user has had enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), after, enough)
			defer cancel()
			start := time.Now()
			if _, err := convergence.Run(ctx, e, d, convergence.Options{}, nil); !errors.Is(err, enough) || time.Since(start) != after {
				t.Errorf("after %s: %v", time.Since(start), err)
			}
			r.recover(t, e, d, "an interruption")
		})
	}
}

// The new container knows whose ports and names it gets, and this makes no difference to what it is.
func TestHandover(t *testing.T) {
	text := func(value int) string {
		r := rolling{order: desired.StartFirst, replicas: 1, action: desired.FailurePause}
		return r.text(value) + "    ports: [\"8080:80\"]\n"
	}
	f, d := newFake(), parse(t, text(1))
	up(t, f, d, plan.UpOptions{Handover: true})
	old, err := f.find("x-web-1")
	if err != nil {
		t.Fatal(err)
	}
	if label, there := old.cfg.Config.Labels[desired.LabelTakesOver]; there {
		t.Errorf("the first one takes over from %q", label)
	}
	synctest.Test(t, func(t *testing.T) {
		wanted := parse(t, text(2))
		if _, err := convergence.Run(t.Context(), f, wanted, convergence.Options{Up: plan.UpOptions{Handover: true}}, nil); err != nil {
			t.Fatal(err)
		}
		now, err := f.find("x-web-1")
		if err != nil || now.id == old.id || now.cfg.Config.Labels[desired.LabelTakesOver] != old.id {
			t.Fatalf("%v: %v", err, now)
		}
		settled(t, f, wanted)
	})
}
