package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/observe"
	written "stackrun.dev/stack/convergence/record"
)

// TestRollbackReturns takes a project to one random state, then towards another one, in which it may fail anywhere, while images
// get other IDs. From what was written down of the first state it comes back to that, with the images of then.
func TestRollbackReturns(t *testing.T) {
	for _, seed := range seeds(t, 100) {
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { rollBack(t, rand.New(rand.NewPCG(seed, 2))) }) {
			t.FailNow()
		}
	}
}

func rollBack(t *testing.T, rnd *rand.Rand) {
	f, text := newFake(), randomProject(rnd)
	var kept []byte
	o := convergence.Options{Converged: func(out convergence.Outcome) {
		var err error
		if kept, err = written.Encode(written.Of(out)); err != nil {
			t.Fatal(err)
		}
	}}
	if _, err := convergence.Run(t.Context(), f, parse(t, text), o, nil); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	before := containersOf(t, f)
	for ref, id := range maps.Clone(f.images) {
		f.images[id] = id
		if rnd.IntN(2) > 0 {
			f.images[ref] = id + "-moved"
			f.images[id+"-moved"] = id + "-moved"
		}
	}
	other := randomProject(rnd)
	disturb(t, rnd, f, parse(t, other))
	if rnd.IntN(2) > 0 {
		finish(t, f, parse(t, other), other)
	}

	r, err := written.Decode(kept)
	if err != nil {
		t.Fatal(err)
	}
	since := written.Of(convergence.Outcome{Desired: parse(t, other)})
	d := written.Without(r.Pinned(f.images), since.Covered())
	if _, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil); err != nil {
		t.Fatalf("%v\nfrom\n%s\nback to\n%s", err, other, text)
	}
	settled(t, f, d)
	if after := containersOf(t, f); !slices.Equal(before, after) {
		t.Errorf("containers\n  %s\nwere\n  %s\nfrom\n%s\nback to\n%s", strings.Join(after, "\n  "), strings.Join(before, "\n  "), other, text)
	}
}

// containersOf are the project's replicas: what they are called, their images, and whether they run.
func containersOf(t *testing.T, f *fake) []string {
	t.Helper()
	s, err := observe.Project(t.Context(), f, "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range s.Containers {
		if !c.OneOff {
			out = append(out, fmt.Sprint(c.Name, " ", c.ImageID, " ", c.Status))
		}
	}
	return out
}
