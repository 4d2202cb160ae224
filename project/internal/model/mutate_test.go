package model_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
)

// Trees whose values are in the wrong places become a project or mistakes, like those that a fuzzer writes, but they get
// further than most of its texts.
func TestAnythingAnywhere(t *testing.T) {
	files, err := filepath.Glob("testdata/oracle/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	var roots []*tree.Value
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, parse(t, string(text), "/", nil))
	}
	for range 500 {
		seed := rand.Uint64()
		m := &mutator{Rand: rand.New(rand.NewPCG(seed, 0))}
		for _, root := range roots {
			m.collect(root)
		}
		root := m.mutated(roots[m.IntN(len(roots))])
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) { anything(t, root) }) {
			return
		}
	}
}

func anything(t *testing.T, root *tree.Value) {
	model.Canonical(root)
	before := root.Clone()
	p, errs := model.Build(root, model.Options{Name: "x", Dir: "/", Profiles: []string{"*"}, NoEnvResolution: true})
	if (p == nil) != (len(errs) > 0) {
		t.Errorf("a project and %d mistakes", len(errs))
	}
	if !tree.Equal(root, before) {
		t.Error("Build changed the tree")
	}
	model.Canonical(root)
	if !tree.Equal(root, before) {
		t.Error("the long form has another one")
	}
}

// mutator puts values where others were.
type mutator struct {
	*rand.Rand
	parts []*tree.Value
}

func (m *mutator) collect(v *tree.Value) {
	m.parts = append(m.parts, v)
	for _, item := range v.Items {
		m.collect(item)
	}
	for _, e := range v.Entries {
		m.collect(e.Value)
	}
}

// mutated is a copy in which about one value in fifty is another one.
func (m *mutator) mutated(v *tree.Value) *tree.Value {
	out := v.Clone()
	m.mutate(out)
	return out
}

func (m *mutator) mutate(v *tree.Value) {
	for i := range v.Items {
		v.Items[i] = m.one(v.Items[i])
	}
	for i := range v.Entries {
		v.Entries[i].Value = m.one(v.Entries[i].Value)
	}
}

func (m *mutator) one(v *tree.Value) *tree.Value {
	if m.IntN(50) == 0 {
		return m.parts[m.IntN(len(m.parts))].Clone()
	}
	m.mutate(v)
	return v
}
