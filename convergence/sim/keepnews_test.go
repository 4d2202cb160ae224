package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine/memory"
)

// What the first wish changes is told to those who remember states if the project was brought to something else before.
func TestTheFirstWishMayBeNews(t *testing.T) {
	const one, two = "  web: {image: app, stop_grace_period: 0s}\n", "  web: {image: app, stop_grace_period: 0s, labels: {a: b}}\n"
	for _, c := range []struct {
		name   string
		before string // what is known; empty: nothing
		want   string
	}{
		{"nothing else is known", "", ""},
		{"it was something else", one, "changing, converged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := memory.New()
				defer e.Close()
				e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
				if _, err := convergence.Run(t.Context(), e, want(t, "services:\n"+one), convergence.Options{}, nil); err != nil {
					t.Fatal(err)
				}
				var told []string
				var o convergence.KeepOptions
				o.Changing = func(*desired.Project) error { told = append(told, "changing"); return nil }
				o.Converged = func(convergence.Outcome) { told = append(told, "converged") }
				if c.before != "" {
					o.Before = func(*desired.Project) *desired.Project { return want(t, "services:\n"+c.before) }
				}
				ctx, cancel := context.WithCancel(t.Context())
				wishes, ended := make(chan convergence.Wish, 1), make(chan error, 1)
				wishes <- convergence.Wish{Desired: want(t, "services:\n"+two)}
				go func() { ended <- convergence.Keep(ctx, e, wishes, o, nil) }()
				synctest.Wait()
				cancel()
				<-ended
				if got := strings.Join(slices.Compact(told), ", "); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
			})
		})
	}
}

// TestRoundsSayWhatTheyWereFor: which wish, whether it was news, and what has come of it.
func TestRoundsSayWhatTheyWereFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
		names := make(map[*desired.Project]string)
		wish := func(name, service string) *desired.Project {
			d := want(t, "services:\n  web: "+service+"\n")
			names[d] = name
			return d
		}
		first, second := wish("first", "{image: app, stop_grace_period: 0s}"), wish("second", "{image: app, stop_grace_period: 0s, labels: {a: b}}")
		held, last := wish("held", "{image: app, stop_grace_period: 0s}"), wish("last", "{image: nowhere, pull_policy: never}")
		if _, err := convergence.Run(t.Context(), e, first, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
		var told []string
		var o convergence.KeepOptions
		o.Round = func(r convergence.Round) {
			told = append(told, fmt.Sprintf("%s: news %t, given up %t, failed %t", names[r.Wish], r.News, r.GivenUp, r.Err != nil))
		}
		hold := false
		o.Lock = func(ctx context.Context, _ string) (func(), error) {
			if hold {
				hold = false
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return func() {}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		wishes, ended := make(chan convergence.Wish), make(chan error, 1)
		go func() { ended <- convergence.Keep(ctx, e, wishes, o, nil) }()
		for _, d := range []*desired.Project{first, second, held, last} {
			hold = d == held
			wishes <- convergence.Wish{Desired: d}
			synctest.Wait()
		}
		cancel()
		<-ended
		got := slices.Compact(told) // what happens to containers is a reason to look again
		expected := []string{
			"first: news false, given up false, failed false",
			"second: news true, given up false, failed false", "second: news false, given up false, failed false",
			"held: news true, given up true, failed false", "last: news true, given up false, failed true",
		}
		if !slices.Equal(got, expected) {
			t.Errorf("told %q, want %q", got, expected)
		}
	})
}
