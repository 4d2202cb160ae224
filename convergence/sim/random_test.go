package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

// runs is how many random histories are played; see seeds.
const runs = 150

// TestRandomHistories takes a project through random changes, with faults and cancellations at random calls, and checks
// after each that a further run brings it to the state that a fresh start would have.
func TestRandomHistories(t *testing.T) {
	for _, seed := range seeds(t, runs) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, seed) }) {
			t.Fatalf("replay with STACK_SIM_SEED=%d", seed)
		}
	}
}

func play(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	f, text := newFake(), ""
	for range 4 {
		text = randomProject(rnd)
		d := parse(t, text)
		before := snapshot(f)
		disturb(t, rnd, f, d)
		before.orphans = orphans(f, d)
		finish(t, f, d, text)
		checkAgainstFresh(t, f, d, text)
		checkConsent(t, before, f)
	}
}

// parse is want without the file system's noise.
func parse(t *testing.T, text string) *desired.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	d, _, err := desired.FromProject(p, desired.Input{})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return d
}

func randomProject(rnd *rand.Rand) string {
	var b strings.Builder
	b.WriteString("services:\n")
	n, shift := 1+rnd.IntN(5), rnd.IntN(2)
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    image: i%d\n    environment: {A: \"%d\"}\n", i, rnd.IntN(2), rnd.IntN(2))
		scale := rnd.IntN(4)
		if rnd.IntN(8) == 0 {
			scale = 9 // so many that two such services have a gate between them
		}
		fmt.Fprintf(&b, "    healthcheck: {test: exit 0}\n    scale: %d\n", scale)
		if rnd.IntN(3) > 0 {
			fmt.Fprintf(&b, "    networks: %s\n", []string{"[n0]", "[n1]", "[n0, n1]", "{n0: {aliases: [a]}}"}[rnd.IntN(4)])
		}
		b.WriteString([]string{"", "    mem_limit: 64m\n", "    mem_limit: 256m\n    pids_limit: 9\n", "    restart: always\n    cpus: 0.5\n"}[rnd.IntN(4)])
		if rnd.IntN(2) > 0 {
			fmt.Fprintf(&b, "    volumes: [\"v%d:/data\", /anonymous]\n", rnd.IntN(2))
		}
		if rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, "    pre_start: [{command: a}, {command: b, per_replica: %t}]\n    post_start: [{command: c}]\n    pre_stop: [{command: d}]\n", rnd.IntN(2) > 0)
		}
		if i < 2 && n > 1 && scale == 1 && rnd.IntN(2) == 0 { // what has a port is never an orphan that keeps it
			fmt.Fprintf(&b, "    ports: [\"%d:80\"]\n", 8080+(i+shift)%2)
		}
		randomUpdate(&b, rnd)
		randomDependencies(&b, rnd, i)
	}
	fmt.Fprintf(&b, "networks:\n  n0: {internal: %t}\n  n1: {}\nvolumes:\n  v0: {}\n  v1: {}\n", rnd.IntN(2) > 0)
	return b.String()
}

func randomUpdate(b *strings.Builder, rnd *rand.Rand) {
	if rnd.IntN(2) > 0 {
		return
	}
	orders, actions := []string{"start-first", "stop-first"}, []string{"rollback", "pause", "continue"}
	fmt.Fprintf(b, "    deploy: {update_config: {order: %s, failure_action: %s, parallelism: %d, max_failure_ratio: %.1f}}\n",
		orders[rnd.IntN(2)], actions[rnd.IntN(3)], rnd.IntN(3), rnd.Float64())
}

func randomDependencies(b *strings.Builder, rnd *rand.Rand, i int) {
	conditions := []string{"service_started", "service_healthy"}
	first := true
	for j := range i {
		if rnd.IntN(3) > 0 {
			continue
		}
		if first {
			b.WriteString("    depends_on:\n")
			first = false
		}
		fmt.Fprintf(b, "      s%d: {condition: %s, restart: %t, required: %t}\n", j, conditions[rnd.IntN(2)], rnd.IntN(2) > 0, rnd.IntN(3) > 0)
	}
}

// disturb runs the project up and lets it fail or be cancelled somewhere; then somebody removes or stops containers.
func disturb(t *testing.T, rnd *rand.Rand, f *fake, d *desired.Project) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int64
	at, mode := int64(1+rnd.IntN(25)), rnd.IntN(3)
	f.before = func(string) error {
		if calls.Add(1) != at {
			return nil
		}
		switch mode {
		case 0:
			return errInjected
		case 1:
			cancel()
		}
		return nil
	}
	options := plan.UpOptions{RenewVolumes: rnd.IntN(8) == 0, Handover: rnd.IntN(2) == 0}
	if rnd.IntN(4) == 0 {
		options.Recreate = plan.RecreateForce
	}
	convergence.Run(ctx, f, d, convergence.Options{Up: options}, nil) //nolint:errcheck // it may fail here
	f.before = nil
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		switch rnd.IntN(12) {
		case 0:
			delete(f.containers, id)
		case 1:
			f.containers[id].status = "exited"
		case 2:
			clear(f.containers[id].networks)
		}
	}
}

// finish runs undisturbed; one run must do.
func finish(t *testing.T, f *fake, d *desired.Project, text string) {
	t.Helper()
	start := len(f.calls)
	if _, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil); err != nil {
		t.Fatalf("%v\n%s\n%s", err, text, strings.Join(f.calls[start:], "\n"))
	}
	checkOrder(t, d, f.calls[start:])
	start = len(f.calls)
	p, err := convergence.Plan(t.Context(), f, d, plan.UpOptions{})
	if err != nil || !p.Empty() {
		t.Fatalf("not converged: %v\n%s\n%s", err, p.Text(), text)
	}
}

// checkOrder: what is started in the run is started after what it depends on.
func checkOrder(t *testing.T, d *desired.Project, calls []string) {
	t.Helper()
	for _, s := range d.Services {
		for _, dep := range s.DependsOn {
			for _, c := range s.Containers {
				for _, other := range d.Service(dep.Service).Containers {
					i, j := slices.Index(calls, "start "+c.Name), slices.Index(calls, "start "+other.Name)
					if i >= 0 && j > i {
						t.Errorf("%s started before %s", c.Name, other.Name)
					}
				}
			}
		}
	}
}

// checkAgainstFresh compares what the history led to with a start from nothing.
func checkAgainstFresh(t *testing.T, f *fake, d *desired.Project, text string) {
	t.Helper()
	fresh := newFake()
	if _, err := convergence.Run(t.Context(), fresh, d, convergence.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	got, want := describe(f, d), describe(fresh, d)
	if got != want {
		t.Fatalf("got:\n%s\nfrom nothing:\n%s\nfor:\n%s", got, want, text)
	}
}

// describe writes the containers of the services and the networks that are wanted, without IDs.
func describe(f *fake, d *desired.Project) string {
	var lines []string
	for _, r := range f.containers {
		labels := r.cfg.Config.Labels
		if d.Service(labels[desired.LabelService]) != nil {
			lines = append(lines, fmt.Sprint(r.name, " ", r.status, " ", r.effective(), " ", labels[desired.LabelImage] == f.images[r.cfg.Config.Image], " ", slices.Sorted(maps.Keys(r.networks))))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// things are what nobody may lose.
type things struct {
	orphans map[string]string // names, by ID
	volumes map[string]bool
}

func snapshot(f *fake) things {
	out := things{volumes: map[string]bool{}}
	for name := range f.volumes {
		out.volumes[name] = true
	}
	return out
}

// orphans are the containers of services that the project does not have.
func orphans(f *fake, d *desired.Project) map[string]string {
	out := map[string]string{}
	for id, r := range f.containers {
		if d.Service(r.service()) == nil {
			out[id] = r.name
		}
	}
	return out
}

// checkConsent: nobody asked for the removal of volumes or of orphans, so all are there.
func checkConsent(t *testing.T, before things, f *fake) {
	t.Helper()
	for name := range before.volumes {
		if f.volumes[name] == nil {
			t.Errorf("volume %s was removed", name)
		}
	}
	for id, name := range before.orphans {
		if f.containers[id] == nil {
			t.Errorf("the orphan %s was removed", name)
		}
	}
	for _, call := range f.calls {
		if strings.HasPrefix(call, "remove volume") || strings.HasPrefix(call, "remove image") {
			t.Errorf("without consent: %s", call)
		}
	}
}
