package dag

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func build(edges string) *Graph {
	var g Graph
	for _, line := range strings.Fields(edges) {
		node, needs, _ := strings.Cut(line, ":")
		g.Add(node, slices.DeleteFunc(strings.Split(needs, ","), func(s string) bool { return s == "" })...)
	}
	return &g
}

func TestSort(t *testing.T) {
	for _, tc := range []struct{ edges, want string }{
		{"", ""},
		{"a b c", "a b c"},
		{"a:b b:c c", "c b a"},
		{"web:db,cache db cache:db", "db cache web"},
		{"a:unknown b", "a b"},
	} {
		got, err := build(tc.edges).Sort()
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%q: got %v, %v, want %s", tc.edges, got, err, tc.want)
		}
	}
}

func TestSortNamesTheCycle(t *testing.T) {
	for _, tc := range []struct{ edges, want string }{
		{"a:a", "cycle: a -> a"},
		{"x:a a:b b:c c:a", "cycle: a -> b -> c -> a"},
	} {
		_, err := build(tc.edges).Sort()
		if err == nil || err.Error() != tc.want {
			t.Errorf("%q: got %v, want %s", tc.edges, err, tc.want)
		}
	}
}

func TestWalkSkipsOnlyWhatDependsOnTheFailure(t *testing.T) {
	g := build("db web:db proxy:web other job:other")
	boom := errors.New("boom")
	var mu sync.Mutex
	var visited []string
	errs := g.Walk(t.Context(), 2, func(_ context.Context, node string) error {
		mu.Lock()
		defer mu.Unlock()
		visited = append(visited, node)
		if node == "db" {
			return boom
		}
		return nil
	})
	slices.Sort(visited)
	if got := strings.Join(visited, " "); got != "db job other" {
		t.Errorf("visited %s", got)
	}
	if len(errs) != 3 || errs["db"] != boom {
		t.Errorf("errors: %v", errs)
	}
	for _, node := range []string{"web", "proxy"} {
		if err := errs[node]; !errors.Is(err, ErrSkipped) || err.Error() != "skipped: db failed" {
			t.Errorf("%s: %v", node, err)
		}
	}
}

func TestWalkGoesOnAfterAFailureThatDoesNotMatter(t *testing.T) {
	g := build("cache web:cache log:web")
	g.AddAfter("app", "cache", "web")
	g.AddAfter("log", "web") // needed already: stays strict
	ran := false
	errs := g.Walk(t.Context(), 0, func(_ context.Context, node string) error {
		switch node {
		case "cache":
			return errors.New("boom")
		case "app":
			ran = true
		}
		return nil
	})
	if !ran || len(errs) != 3 || !errors.Is(errs["log"], ErrSkipped) {
		t.Errorf("ran %t, errors %v", ran, errs)
	}
}

func TestWalkStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	errs := build("a b:a c").Walk(ctx, 1, func(_ context.Context, node string) error {
		cancel()
		return nil
	})
	if len(errs) != 2 || !errors.Is(errs["b"], context.Canceled) || !errors.Is(errs["c"], context.Canceled) {
		t.Errorf("errors: %v", errs)
	}
}

func TestWalkReportsACycleAndVisitsNothing(t *testing.T) {
	errs := build("a:b b:a").Walk(t.Context(), 0, func(context.Context, string) error {
		t.Error("visited")
		return nil
	})
	var cycle *CycleError
	if len(errs) != 1 || !errors.As(errs["a"], &cycle) {
		t.Errorf("errors: %v", errs)
	}
}

// Random graphs: each node is visited once and after its needs, and never more than the limit at once.
func TestWalkOrderAndLimit(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		synctest.Test(t, func(t *testing.T) { walkOnce(t, rnd, seed) })
	}
}

func walkOnce(t *testing.T, rnd *rand.Rand, seed uint64) {
	var g Graph
	n, limit := 1+rnd.IntN(20), 1+rnd.IntN(4)
	delays := make(map[string]time.Duration)
	for i := range n {
		node := fmt.Sprint(i)
		g.Add(node)
		delays[node] = time.Duration(rnd.IntN(5)) * time.Millisecond
		for j := range i {
			if rnd.IntN(4) == 0 {
				g.Add(node, fmt.Sprint(j))
			}
		}
	}
	var mu sync.Mutex
	visited, running := map[string]bool{}, 0
	errs := g.Walk(t.Context(), limit, func(_ context.Context, node string) error {
		mu.Lock()
		running++
		if running > limit {
			t.Errorf("seed %d: %d visits at once, limit %d", seed, running, limit)
		}
		for _, need := range g.Needs(node) {
			if !visited[need] {
				t.Errorf("seed %d: %s before %s", seed, node, need)
			}
		}
		mu.Unlock()
		time.Sleep(delays[node]) // virtual
		mu.Lock()
		visited[node] = true
		running--
		mu.Unlock()
		return nil
	})
	if len(errs) != 0 || len(visited) != n {
		t.Errorf("seed %d: visited %d of %d, errors %v", seed, len(visited), n, errs)
	}
}

// What only waits keeps nobody from working, however many there are of it.
func TestFreeNodesAreNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Graph
		worked := make(chan struct{})
		for i := range 5 {
			wait := fmt.Sprint("wait ", i)
			g.Add(wait)
			g.Free(wait)
		}
		g.Add("work")
		errs := g.Walk(t.Context(), 1, func(_ context.Context, node string) error {
			if node == "work" {
				close(worked)
			}
			<-worked
			return nil
		})
		if len(errs) != 0 {
			t.Errorf("errors %v", errs)
		}
	})
}
