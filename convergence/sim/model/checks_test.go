package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

// situation is a project that is wanted, one that is there, and what the user asks for.
type situation struct {
	rnd     *rand.Rand
	wish    Wish
	desired *desired.Project
	options plan.UpOptions
	before  *World
	fresh   string // what a start from nothing leads to
}

// check holds the plan of the situation to every property, and returns the world in which all is as wanted.
func (c *situation) check() (*World, error) {
	p, err := plan.Up(c.desired, c.before.State, c.options)
	if err != nil {
		return c.before, err
	}
	if err := c.sameBytes(p); err != nil {
		return c.before, err
	}
	if err := c.minimal(p); err != nil {
		return c.before, fmt.Errorf("%w\n%s", err, p.Text())
	}
	if err := c.interrupted(p); err != nil {
		return c.before, err
	}
	x, err := c.carriedOut()
	if err != nil {
		return x, err
	}
	return x, c.down(x)
}

// sameBytes: equal inputs give equal plans, however maps and lists without an order happen to lie in memory.
func (c *situation) sameBytes(p *plan.Plan) error {
	again, err := plan.Up(shuffledWish(c.rnd, c.desired), shuffledState(c.before.State), shuffledOptions(c.rnd, c.options))
	if err != nil {
		return err
	}
	if p.Text() != again.Text() {
		return fmt.Errorf("the same plan in other words:\n%s\n\n%s", p.Text(), again.Text())
	}
	if !one(c.rnd, 16) {
		return nil
	}
	a, err := json.Marshal(p)
	if err != nil {
		return err
	}
	b, err := json.Marshal(again)
	if err == nil && !bytes.Equal(a, b) {
		err = fmt.Errorf("the same plan in other bytes:\n%s\n%s", a, b)
	}
	return err
}

func shuffledWish(rnd *rand.Rand, d *desired.Project) *desired.Project {
	out := *d
	out.Disabled = slices.Clone(d.Disabled)
	rnd.Shuffle(len(out.Disabled), func(i, j int) { out.Disabled[i], out.Disabled[j] = out.Disabled[j], out.Disabled[i] })
	return &out
}

func shuffledState(s *state.Project) *state.Project {
	out := *s
	out.Networks, out.Volumes, out.Images = remade(s.Networks), remade(s.Volumes), remade(s.Images)
	return &out
}

// remade is the map with other places for its keys: each new map has a hash function of its own.
func remade[V any](m map[string]V) map[string]V {
	out := make(map[string]V)
	maps.Copy(out, m)
	return out
}

func shuffledOptions(rnd *rand.Rand, o plan.UpOptions) plan.UpOptions {
	o.Services = slices.Clone(o.Services)
	rnd.Shuffle(len(o.Services), func(i, j int) { o.Services[i], o.Services[j] = o.Services[j], o.Services[i] })
	return o
}

// carriedOut: the plan can be carried out in every order that it allows, dependencies come first, nothing is lost, and nothing
// is left to do afterwards. Then all is as after a start from nothing.
func (c *situation) carriedOut() (*World, error) {
	x := c.before.Clone()
	watch := &order{situation: c, world: x}
	x.Before = watch.see
	rounds, err := x.Up(c.desired, c.options, Course{Order: c.rnd, OnPlan: watch.begin})
	switch {
	case err != nil && c.keeps():
		x.Before = nil
		x.Settle()
		return x, c.asFresh(x, "it could not be, since nothing was to be made anew: "+err.Error())
	case err != nil:
		return x, err
	case watch.err != nil:
		return x, watch.err
	case len(rounds.Plans) > 1 && !rounds.Plans[len(rounds.Plans)-2].Undecided:
		return x, fmt.Errorf("something was left to do after\n%s\nnamely\n%s", rounds.Plans[len(rounds.Plans)-2].Text(), rounds.Plans[len(rounds.Plans)-1].Text())
	}
	x.Before = nil
	for _, p := range rounds.Plans {
		if err := c.consent(p); err != nil {
			return x, fmt.Errorf("%w\n%s", err, p.Text())
		}
	}
	if err := c.kept(x); err != nil {
		return x, fmt.Errorf("%w\n%s", err, texts(rounds))
	}
	if c.options.RemoveOrphans {
		if err := c.noOrphans(x); err != nil {
			return x, fmt.Errorf("%w\n%s", err, texts(rounds))
		}
	}
	return x, c.asFresh(x, "what was done before:\n"+texts(rounds))
}

// keeps says that what is there is not to be made anew, even if it can go on only then.
func (c *situation) keeps() bool {
	return c.options.Recreate == plan.RecreateNever || c.options.RecreateDeps == plan.RecreateNever
}

func texts(r *Rounds) string {
	var b strings.Builder
	for _, p := range r.Plans {
		b.WriteString(p.Text() + "--\n")
	}
	return b.String()
}

// interrupted: stopped anywhere, by a failure, a cancellation or a lost answer, another run leads to the same.
func (c *situation) interrupted(p *plan.Plan) error {
	if p.Empty() {
		return nil
	}
	at := p.Operations[c.rnd.IntN(len(p.Operations))].Head().ID
	course := Course{Order: c.rnd, Lost: one(c.rnd, 2)}
	if one(c.rnd, 3) {
		course.Cancel = 1 + c.rnd.IntN(len(p.Operations))
	} else {
		course.Fail = func(op plan.Operation) bool { return op.Head().ID == at }
	}
	x := c.before.Clone()
	if _, err := x.Up(c.desired, c.options, course); err != nil && !c.keeps() {
		return err
	}
	x.Settle()
	how := fmt.Sprintf("it failed at %q (cancelled after %d, lost %t) in\n%s", at, course.Cancel, course.Lost, p.Text())
	return c.asFresh(x, how)
}

// asFresh: one more run without any options leads to the state that a start from nothing leads to.
func (c *situation) asFresh(x *World, how string) error {
	rounds, err := x.Up(c.desired, plan.UpOptions{}, Course{})
	if err != nil {
		return fmt.Errorf("%w\n%s", err, how)
	}
	if got := describe(x, c.desired); got != c.fresh {
		return fmt.Errorf("got\n%s\nfrom nothing\n%s\n%s\nthen\n%s", got, c.fresh, how, texts(rounds))
	}
	return nil
}

// describe writes down the containers of the services, and the networks and volumes that they are on.
func describe(x *World, d *desired.Project) string {
	var lines []string
	networks, volumes := map[string]bool{}, map[string]bool{}
	for _, c := range x.State.Containers {
		s := d.Service(c.Service)
		if s == nil || c.OneOff {
			continue
		}
		status := fmt.Sprint(c.Networks)
		if c.Status == state.Exited { // what has done its work need not be on networks
			status = fmt.Sprint(c.ExitCode)
		}
		lines = append(lines, fmt.Sprintf("container %s %s %s %t", c.Name, c.Status, status, x.asWanted(c, s)))
		for _, key := range s.Networks {
			networks[d.Network(key).Name] = true
		}
		for _, key := range s.Volumes {
			volumes[d.Volume(key).Name] = true
		}
	}
	for name := range networks {
		lines = append(lines, "network "+name+" "+x.State.Networks[name].Hash)
	}
	for name := range volumes {
		lines = append(lines, "volume "+name+" "+x.State.Volumes[name].Key)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
