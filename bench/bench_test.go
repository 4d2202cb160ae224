package bench

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"
)

var (
	measure = flag.Bool("measure", false, "measure every row, on stack and on the peer; without it one row is run once on stack")
	only    = flag.String("only", "", "measure the rows whose name this regular expression matches")
	check   = flag.Bool("check", false, "fail where a promise is not kept")
)

// binary is the program that is measured: what make build left.
func binary(t testing.TB) string {
	path := os.Getenv("STACK_TEST_BINARY")
	if path == "" {
		path = "../bin/stack"
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

// promise is how many times as fast as the peer a row must be, at least.
var promises = map[string]float64{
	"up -d, 10 services":                      6,
	"up -d again, nothing to do, 1 service":   4,
	"up -d again, nothing to do, 50 services": 4,
	"down -v -t 0, 1 service":                 4,
	"down -v -t 0, 10 services":               4,
	"down -v -t 0, 50 services":               4,
}

// fiftyAtMost is the promise for up -d of 50 services.
const fiftyAtMost = 1500 * time.Millisecond

func TestBudget(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	stack := newStack(t, binary(t))
	stack.provide(t)
	if !*measure {
		t.Logf("up -d, 1 service: %v (run once; -measure measures everything)", up(1, sleeping)(t, stack))
		return
	}
	wanted := regexp.MustCompile(*only)
	memory(t, stack)
	peer := newPeer(t)
	if peer != nil {
		peer.provide(t)
	} else {
		fmt.Println("no Docker Compose is installed: stack alone is measured")
	}
	fmt.Printf("%-48s %28s %28s %7s %8s\n", "", "stack, ms (min–max)", "peer, ms (min–max)", "ratio", "goal, ms")
	for _, r := range rows() {
		if !wanted.MatchString(r.name) {
			continue
		}
		r.print(t, stack, peer)
	}
	watching(t, wanted, stack, stack.on(peer))
}

// print runs the row in turn on both tools and prints its line.
func (r row) print(t *testing.T, stack, peer *tool) {
	var ours, theirs []time.Duration
	for range r.runs {
		ours = append(ours, r.measure(t, stack))
		if peer != nil {
			theirs = append(theirs, r.measure(t, peer))
		}
	}
	ratio := 0.0
	if peer != nil {
		ratio = float64(median(theirs)) / float64(median(ours))
	}
	fmt.Printf("%-48s %28s %28s %6.1fx %8d\n", r.name, spread(ours), spread(theirs), ratio, r.goal.Milliseconds())
	if !*check {
		return
	}
	if want := promises[r.name]; peer != nil && ratio < want {
		t.Errorf("%s: %.1f times as fast as the peer, want at least %.0f", r.name, ratio, want)
	}
	if r.name == "up -d, 50 services" && median(ours) > fiftyAtMost {
		t.Errorf("%s: %v, want at most %v", r.name, median(ours), fiftyAtMost)
	}
}

// memory prints what the engine takes when idle, and what a running container takes beyond its own.
func memory(t *testing.T, u *tool) {
	const n, mb = 50, 1 << 20
	idle, err := u.resident()
	if err != nil {
		t.Fatal(err)
	}
	dir := project(t, "memory", n, sleeping)
	u.run(t, dir, "up", "-d")
	defer u.run(t, dir, "down", "-v", "-t", "0")
	busy, err := u.resident()
	if err != nil {
		t.Fatal(err)
	}
	each := float64(busy-idle) / n / mb
	fmt.Printf("memory (PSS): engine idle %.1f MB; with %d containers %.1f MB for engine and shim, %.2f MB each\n", float64(idle)/mb, n, float64(busy)/mb, each)
	if *check && (idle > 50*mb || each > 1) {
		t.Errorf("memory: want at most 50 MB idle and 1 MB each")
	}
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%d–%d)", median(d).Milliseconds(), slices.Min(d).Milliseconds(), slices.Max(d).Milliseconds())
}
