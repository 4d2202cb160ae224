package sim

import (
	"context"
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
