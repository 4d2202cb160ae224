package sim

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

// many is a project of n services on an engine that has it already.
func many(b *testing.B, n int) (*fake, *project.Project, *desired.Project) {
	b.Helper()
	var text strings.Builder
	text.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&text, "  s%d:\n    image: busybox\n    command: [sleep, inf]\n    environment: {A: one, B: two}\n    volumes: [\"data:/data\"]\n", i)
		if i > 0 {
			fmt.Fprintf(&text, "    depends_on: [s%d]\n", i/2)
		}
	}
	text.WriteString("volumes:\n  data: {}\n")
	p, _, err := project.Load(context.Background(), project.Options{Files: []string{"-"}, Stdin: strings.NewReader(text.String()), ProjectName: "x"})
	if err != nil {
		b.Fatal(err)
	}
	d, _, err := desired.FromProject(p, desired.Input{})
	if err != nil {
		b.Fatal(err)
	}
	f := newFake()
	return f, p, d
}

func BenchmarkDesired50(b *testing.B) {
	_, p, _ := many(b, 50)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := desired.FromProject(p, desired.Input{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNothingToDo50(b *testing.B) {
	f, _, d := many(b, 50)
	if _, err := convergence.Run(context.Background(), f, d, convergence.Options{}, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := convergence.Plan(context.Background(), f, d, plan.UpOptions{})
		if err != nil || !p.Empty() {
			b.Fatal(err, p.Text())
		}
	}
}

func BenchmarkPlanFromNothing(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f, _, d := many(b, n)
			s, err := observe.Project(context.Background(), f, "x", d)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Up(d, s, plan.UpOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
