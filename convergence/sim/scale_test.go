package sim

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/project"
)

// scales are the situations in which planning must cost the same per service, however many services there are.
var scales = []struct {
	name    string
	pair    bool // two services of many containers instead of many services
	nothing bool // none of it is there yet
	options plan.UpOptions
	change  func(f *fake) // what happened since it was brought up
	plan    planner       // nil: plan.Up
}{
	{name: "from-nothing", nothing: true},
	{name: "nothing-to-do"},
	{name: "force", options: plan.UpOptions{Recreate: plan.RecreateForce}},
	{name: "images-changed", change: moveImage},
	{name: "network-recreated", change: func(f *fake) {
		labels := maps.Clone(f.networks["x_default"].Labels)
		labels[desired.LabelHash], labels[desired.LabelConfig] = "1:another", ""
		f.networks["x_default"].Labels = labels
	}},
	{name: "all-exited", change: func(f *fake) {
		for _, r := range f.containers {
			r.status = container.StateExited
		}
	}},
	{name: "scaled-from-nothing", pair: true, nothing: true},
	{name: "scaled-nothing-to-do", pair: true},
	{name: "scaled-images-changed", pair: true, change: moveImage},
	{name: "down", plan: planDown},
	{name: "stop", plan: planStop},
	{name: "scaled-down", pair: true, plan: planDown},
	{name: "scaled-one-exited", pair: true, change: func(f *fake) { f.containers[f.firstID()].status = container.StateExited }},
}

// planner makes another plan than one that brings the project up.
type planner func(d *desired.Project, s *state.Project) (*plan.Plan, error)

func planDown(d *desired.Project, s *state.Project) (*plan.Plan, error) {
	return plan.Down(d, s, plan.DownOptions{}), nil
}

func planStop(d *desired.Project, s *state.Project) (*plan.Plan, error) {
	return plan.Stop(d, s, plan.LifecycleOptions{})
}

// planOf makes the plan of the situation.
func planOf(i int, d *desired.Project, s *state.Project) (*plan.Plan, error) {
	if scales[i].plan != nil {
		return scales[i].plan(d, s)
	}
	return plan.Up(d, s, scales[i].options)
}

func moveImage(f *fake) { f.images["busybox"] = "sha256:" + strings.Repeat("f", 64) }

// firstID is that of the container that was made first.
func (f *fake) firstID() string { return slices.Min(slices.Collect(maps.Keys(f.containers))) }

var loaded = make(map[string]*desired.Project) // by the text; loading takes longer than planning

// pairText is a project of two services with n containers together, of which some wait for the others.
func pairText(n int) string {
	text := "services:\n  a: {image: busybox, scale: %d, healthcheck: {test: exit 0}}\n  b: {image: busybox, scale: %d, depends_on: {a: {condition: service_healthy, restart: true}}}\n"
	return fmt.Sprintf(text, n/2, n/2)
}

// treeText is a project of n services, each of which depends on another one, and on no more than two do others depend.
func treeText(n int) string {
	var text strings.Builder
	text.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&text, "  s%d:\n    image: busybox\n    command: [sleep, inf]\n    environment: {A: one, B: two}\n    volumes: [\"data:/data\"]\n", i)
		if i > 0 {
			fmt.Fprintf(&text, "    depends_on: {s%d: {condition: service_started, restart: true}}\n", i/2)
		}
	}
	text.WriteString("volumes:\n  data: {}\n")
	return text.String()
}

func load(tb testing.TB, text string) *desired.Project {
	tb.Helper()
	p, _, err := project.Load(context.Background(), project.Options{Files: []string{"-"}, Stdin: strings.NewReader(text), ProjectName: "x"})
	if err != nil {
		tb.Fatal(err)
	}
	d, _, err := desired.FromProject(p, desired.Input{})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// bringUp gives the fake what an up of the project leaves, without its thousands of calls.
func bringUp(tb testing.TB, f *fake, d *desired.Project) {
	tb.Helper()
	for _, n := range d.Networks {
		if _, err := f.NetworkCreate(context.Background(), n.Name, n.Create); err != nil {
			tb.Fatal(err)
		}
	}
	for _, v := range d.Volumes {
		if _, err := f.VolumeCreate(context.Background(), v.Create); err != nil {
			tb.Fatal(err)
		}
	}
	for _, s := range d.Services {
		for _, c := range s.Containers {
			r := &record{id: f.id(), name: c.Name, cfg: c.Config, status: container.StateRunning, networks: map[string]bool{"x_default": true}}
			r.endpoints = c.Config.Networking.EndpointsConfig
			config := *c.Config.Config
			config.Labels = maps.Clone(config.Labels)
			config.Labels[desired.LabelConfig], config.Labels[desired.LabelImage] = c.Settings.Pack(), f.images[s.Image]
			r.cfg.Config = &config
			f.containers[r.id] = r
		}
	}
}

// situation is the project on an engine, after what happened.
func situation(tb testing.TB, i, n int) (*fake, *desired.Project) {
	tb.Helper()
	text := treeText(n)
	if scales[i].pair {
		text = pairText(n)
	}
	if loaded[text] == nil {
		loaded[text] = load(tb, text)
	}
	f, d := newFake(), loaded[text]
	f.images["busybox"] = "sha256:" + strings.Repeat("1", 64)
	if !scales[i].nothing {
		bringUp(tb, f, d)
	}
	if scales[i].change != nil {
		scales[i].change(f)
	}
	return f, d
}

func observeAndPlan(tb testing.TB, f *fake, d *desired.Project, o plan.UpOptions) *plan.Plan {
	tb.Helper()
	s, err := observe.Project(context.Background(), f, "x", d)
	if err != nil {
		tb.Fatal(err)
	}
	p, err := plan.Up(d, s, o)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// BenchmarkPlan is one plan of what was seen. The processor's time is what counts: others may use the machine.
func BenchmarkPlan(b *testing.B) {
	for i, scale := range scales {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", scale.name, n), func(b *testing.B) {
				f, d := situation(b, i, n)
				s, err := observe.Project(b.Context(), f, "x", d)
				if err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				b.ReportAllocs()
				before := cpuTime(b, unix.CLOCK_PROCESS_CPUTIME_ID)
				for b.Loop() {
					if _, err := planOf(i, d, s); err != nil {
						b.Fatal(err)
					}
				}
				used := cpuTime(b, unix.CLOCK_PROCESS_CPUTIME_ID) - before
				b.ReportMetric(float64(used.Microseconds())/float64(b.N)/1000, "cpu-ms/op")
			})
		}
	}
}

func cpuTime(tb testing.TB, clock int32) time.Duration {
	tb.Helper()
	var used unix.Timespec
	if err := unix.ClockGettime(clock, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// cost is what a plan of n services costs, for each of them.
type cost struct{ operations, edges, allocations, bytes, time float64 }

func (c cost) per(n int) cost {
	f := float64(n)
	return cost{c.operations / f, c.edges / f, c.allocations / f, c.bytes / f, c.time / f}
}

// costOf plans for as many services in total, however many of them each plan has. The time is that of the thread, so that others who use the machine do not count.
func costOf(t *testing.T, i, n, total int) cost {
	t.Helper()
	f, d := situation(t, i, n)
	s, err := observe.Project(t.Context(), f, "x", d)
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := cpuTime(t, unix.CLOCK_THREAD_CPUTIME_ID)
	var sum cost
	for range total / n {
		p, err := planOf(i, d, s)
		if err != nil {
			t.Fatal(err)
		}
		sum.operations += float64(len(p.Operations))
		sum.edges += float64(edges(p))
	}
	sum.time = float64(cpuTime(t, unix.CLOCK_THREAD_CPUTIME_ID) - start)
	runtime.ReadMemStats(&after)
	sum.allocations, sum.bytes = float64(after.Mallocs-before.Mallocs), float64(after.TotalAlloc-before.TotalAlloc)
	return sum.per(total)
}

func edges(p *plan.Plan) int {
	n := 0
	for _, op := range p.Operations {
		n += len(op.Head().Needs) + len(op.Head().After)
	}
	return n
}

// Ten times the services cost ten times as much, and not a hundred times. What only reads again and again allocates nothing and
// shows in the time alone; there is much room in its bound, and any of a few attempts will do.
func TestPlanningIsLinear(t *testing.T) {
	const few, many, attempts = 1000, 10_000, 5
	for i, scale := range scales {
		t.Run(scale.name, func(t *testing.T) {
			var small, big cost
			for range attempts {
				small, big = costOf(t, i, few, many), costOf(t, i, many, many)
				if big.time < 6*small.time {
					break
				}
			}
			for _, c := range []struct {
				what            string
				few, many, most float64
			}{
				{"operations", small.operations, big.operations, 1.1},
				{"edges", small.edges, big.edges, 1.1},
				{"allocations", small.allocations, big.allocations, 1.5},
				{"bytes", small.bytes, big.bytes, 1.5},
				{"nanoseconds", small.time, big.time, 6},
			} {
				if c.many > c.most*c.few {
					t.Errorf("%s per service: %.1f of %d, %.1f of %d", c.what, c.few, few, c.many, many)
				}
			}
		})
	}
}

// Scaled services wait for each other through gates, so that the edges are as many as the containers and not as their pairs.
func TestScaledServicesHaveFewEdges(t *testing.T) {
	const replicas = 3000
	for _, tc := range []struct {
		name, dependency string
		moved            bool // it is there, and the image of what is depended on is another one by now
	}{
		{name: "healthy", dependency: "depends_on: {a: {condition: service_healthy}}"},
		{name: "completed", dependency: "depends_on: {a: {condition: service_completed_successfully}}"},
		{name: "optional", dependency: "depends_on: {a: {condition: service_healthy, required: false}}"},
		{name: "restart", dependency: "depends_on: {a: {condition: service_started, restart: true}}", moved: true},
		{name: "namespace", dependency: "network_mode: service:a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := "services:\n  a: {image: a, scale: %d, healthcheck: {test: exit 0}}\n  b: {image: b, scale: %d, %s}\n"
			d := load(t, fmt.Sprintf(text, replicas, replicas, tc.dependency))
			f := newFake()
			f.images["a"], f.images["b"] = "sha256:1", "sha256:2"
			if tc.moved {
				bringUp(t, f, d)
				f.images["a"] = "sha256:3"
			}
			p := observeAndPlan(t, f, d, plan.UpOptions{})
			if n := edges(p); n > 10*2*replicas || len(p.Operations) < 2*replicas {
				t.Errorf("%d operations, %d edges", len(p.Operations), n)
			}
			behind := make(map[string]bool)
			for _, id := range p.Graph().Closure("start container x-b-7") {
				behind[id] = true
			}
			for i := range replicas {
				if id := fmt.Sprintf("start container x-a-%d", i+1); !behind[id] {
					t.Fatalf("b does not wait for %s", id)
				}
			}
		})
	}
}
