package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/sim/model"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine/memory"
)

// duets is how many histories the model and the engine in memory play side by side.
const duets = 300

// TestTheModelIsAsTheEngine plays the same histories on the model and on the engine in memory: after each step both have the
// same, and the same plan is made of it. What is proved on the model holds on the engine then.
func TestTheModelIsAsTheEngine(t *testing.T) {
	for _, seed := range seeds(t, duets) {
		synctest.Test(t, func(t *testing.T) {
			p := newDuet(t, seed)
			defer p.engine.Close()
			if err := p.play(t.Context()); err != nil {
				t.Fatalf("replay with STACK_SIM_SEED=%d:\n%v\n%s", seed, err, p.wish.String())
			}
		})
	}
}

// seeds are so many seeds, always the same ones, so that what fails is the change that was made last. $STACK_SIM_SEED asks for one
// of them, and $STACK_SIM_RUNS for so many that nobody has tried. There are fewer of them with -short.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if text := os.Getenv("STACK_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return []uint64{seed}
	}
	if testing.Short() {
		n = (n + 9) / 10
	}
	first := uint64(1)
	if text := os.Getenv("STACK_SIM_RUNS"); text != "" {
		n, _ = strconv.Atoi(text)
		first = rand.Uint64()
	}
	out := make([]uint64, n)
	for i := range out {
		out[i] = first + uint64(i)
	}
	return out
}

// duet is one project on the model and on the engine.
type duet struct {
	rnd    *rand.Rand
	wish   model.Wish
	model  *model.World
	engine *memory.Engine
}

func newDuet(t *testing.T, seed uint64) *duet {
	t.Helper()
	p := &duet{rnd: rand.New(rand.NewPCG(seed, 2)), model: model.New("x", nil)}
	p.model.Bare = true
	p.engine = memory.New(memory.WithProgram("health", func(*memory.Process) int { return 0 }))
	p.wish = model.NewWish(p.rnd)
	for _, ref := range model.Images {
		p.image(ref)
	}
	return p
}

// image gives both another image of that name.
func (p *duet) image(ref string) {
	id := p.engine.AddImage(ref, container.Config{Labels: map[string]string{"n": fmt.Sprint(p.rnd.Uint64())}})
	p.model.Remote[ref], p.model.State.Images[ref] = id, state.Image{ID: id}
}

func (p *duet) play(ctx context.Context) error {
	for range 4 {
		d := p.wish.Desired()
		if err := p.step(ctx, d, p.options()); err != nil {
			return err
		}
		if err := p.disturb(ctx); err != nil {
			return err
		}
		if err := p.step(ctx, d, plan.UpOptions{RemoveOrphans: true}); err != nil {
			return err
		}
		p.wish = p.wish.Changed(p.rnd)
	}
	return nil
}

func (p *duet) options() plan.UpOptions {
	return plan.UpOptions{
		Recreate: []plan.Recreate{plan.RecreateForce, "", "", ""}[p.rnd.IntN(4)], RenewVolumes: p.rnd.IntN(4) == 0, RemoveOrphans: true,
		Wait: p.rnd.IntN(3) == 0, NoStart: p.rnd.IntN(10) == 0,
	}
}

var errAsked = errors.New("it was to fail")

// step brings the project up on both, and lets the same operation fail.
func (p *duet) step(ctx context.Context, d *desired.Project, o plan.UpOptions) error {
	o.Handover = true // the engine says so
	first, err := p.compare(ctx, d, o)
	if err != nil {
		return err
	}
	var course model.Course
	e := &faulty{Engine: p.engine}
	if len(first.Operations) > 0 && p.rnd.IntN(3) == 0 {
		op := first.Operations[p.rnd.IntN(len(first.Operations))]
		if call, ref := callOf(op); call != "" {
			name := op.Head().ID
			course.Fail = func(other plan.Operation) bool { return plain(other.Head().ID) == plain(name) }
			broken := 0
			e.before = func(_ context.Context, now, of string) error {
				if now == call && of == ref && broken == 0 {
					broken++
					return errAsked
				}
				return nil
			}
		}
	}
	_, failed := convergence.Run(ctx, e, d, convergence.Options{Up: o}, nil)
	rounds, err := p.model.Up(d, o, course)
	switch {
	case err != nil:
		return err
	case (failed != nil) != rounds.Stopped:
		return fmt.Errorf("the engine: %w, the model stopped: %t", failed, rounds.Stopped)
	case failed != nil && !errors.Is(failed, errAsked):
		return failed
	}
	_, err = p.compare(ctx, d, o)
	return err
}

// callOf is the call that an operation makes, of those whose failure can be asked for: what is so already does not fail.
func callOf(op plan.Operation) (call, ref string) {
	switch op := op.(type) {
	case *plan.CreateContainer:
		return "ContainerCreate", op.Name
	case *plan.StartContainer:
		return "ContainerStart", op.Container
	}
	return "", ""
}

// compare looks at both when everything has settled. It returns the engine's plan.
func (p *duet) compare(ctx context.Context, d *desired.Project, o plan.UpOptions) (*plan.Plan, error) {
	time.Sleep(5 * time.Second) // of the bubble: health checks have an outcome
	p.model.Settle()
	seen, err := observe.Project(ctx, p.engine, "x", d)
	if err != nil {
		return nil, err
	}
	if is, want := facts(p.model.State), facts(seen); is != want {
		return nil, fmt.Errorf("the model has\n%s\nand the engine\n%s", is, want)
	}
	one, err := plan.Up(d, seen, o)
	if err != nil {
		return nil, err
	}
	other, err := plan.Up(d, p.model.State, o)
	if err == nil && operations(one) != operations(other) {
		err = fmt.Errorf("the plan of the model is\n%s\nand that of the engine\n%s", operations(other), operations(one))
	}
	return one, err
}

var ids = regexp.MustCompile(`[0-9a-f]{64}|[0-9a-f]{12}`)

// plain is a text without IDs, which differ.
func plain(text string) string { return ids.ReplaceAllString(text, "ID") }

// facts are what is there, without IDs and times.
func facts(s *state.Project) string {
	var lines []string
	for _, c := range s.Containers {
		mutable := slices.DeleteFunc(slices.Clone(c.Mutable), func(line desired.Setting) bool { return strings.HasSuffix(line.Name, ".MacAddress") })
		line := fmt.Sprint("container ", c.Name, " ", c.Service, c.Number, " ", c.Status, " ", c.Health, " networks ", c.Networks, " ports ", c.Ports,
			" anonymous ", len(c.Anonymous), " joins ", len(c.Joins), " ", c.Hash, " ", mutable, " ", c.OneOff, c.Hook)
		if c.Status == state.Exited {
			line += fmt.Sprint(" failed ", c.ExitCode != 0)
		}
		lines = append(lines, plain(line))
	}
	for name, n := range s.Networks {
		lines = append(lines, "network "+name+" "+n.Hash+" "+n.Project)
	}
	for name, v := range s.Volumes {
		if len(name) != 64 {
			lines = append(lines, "volume "+name+" "+v.Hash+" "+v.Project)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// operations are the plan's operations and edges without IDs.
func operations(p *plan.Plan) string {
	var lines []string
	for _, op := range p.Operations {
		h := op.Head()
		line := plain(h.ID + ": " + h.Cause)
		for _, ids := range [][]string{h.Needs, h.After} {
			needs := make([]string, len(ids))
			for i, id := range ids {
				needs[i] = plain(id)
			}
			slices.Sort(needs)
			line += "\n\tafter " + strings.Join(needs, ", ")
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// disturb does the same to both.
func (p *duet) disturb(ctx context.Context) error {
	if p.rnd.IntN(4) == 0 {
		p.image(model.Images[p.rnd.IntN(len(model.Images))])
	}
	var names []string
	for _, c := range p.model.State.Containers {
		if plain(c.Name) == c.Name { // what is left of a failure is called otherwise on each
			names = append(names, c.Name)
		}
	}
	for _, name := range names {
		for _, op := range p.accident(name) {
			done := execute.Run(ctx, p.engine, &plan.Plan{Project: "x", Operations: []plan.Operation{op}}, execute.Options{}, nil)
			if a, b := done.Err(), p.model.Do(op); (a != nil) != (b != nil) {
				return fmt.Errorf("%s: the engine says %w, the model %w", op.Head().ID, a, b)
			}
		}
	}
	p.model.Settle()
	return nil
}

// accident is what somebody does to a container, as operations of a plan. Mostly nothing.
func (p *duet) accident(name string) []plan.Operation {
	h := plan.Header{ID: name, Subject: plan.Subject{Kind: plan.Container, Name: name}}
	c := p.model.Find(name)
	switch p.rnd.IntN(24) {
	case 0:
		return []plan.Operation{&plan.RemoveContainer{Header: h, Container: name, Force: true}}
	case 1:
		return []plan.Operation{&plan.StopContainer{Header: h, Container: name}}
	case 2:
		return []plan.Operation{&plan.RenameContainer{Header: h, Container: name, Name: name + "-renamed"}}
	case 3:
		if c.Status == state.Running {
			return []plan.Operation{&plan.PauseContainer{Header: h, Container: name}}
		}
	case 4:
		var out []plan.Operation
		for i, on := range c.Networks {
			h.ID = fmt.Sprint(name, i)
			out = append(out, &plan.DisconnectNetwork{Header: h, Network: on, Container: name})
		}
		return out
	case 5:
		update := &plan.UpdateContainer{Header: h, Container: name}
		update.Config.RestartPolicy = container.RestartPolicy{Name: container.RestartPolicyOnFailure, MaximumRetryCount: 3}
		return []plan.Operation{update}
	case 6:
		if len(c.Networks) > 0 && c.Status == state.Running {
			off := &plan.DisconnectNetwork{Header: h, Network: c.Networks[0], Container: name}
			h.ID = name + " again"
			return []plan.Operation{off, &plan.ConnectNetwork{Header: h, Network: c.Networks[0], Container: name, Settings: &network.EndpointSettings{}}}
		}
	}
	return nil
}
