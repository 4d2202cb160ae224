package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/watch/rules"
	"stackrun.dev/stack/watch/tree"
)

// runs is a session that runs in a bubble.
type runs struct {
	*source
	*stage
	*Session
	cancel func()
	ended  chan error

	told    sync.Mutex
	reports []string
}

func begin(t *testing.T, list []*rules.Rule, edits ...string) *runs {
	t.Helper()
	r := &runs{source: newSource(), ended: make(chan error, 1)}
	edit(r.source, edits...)
	r.source.take()
	r.stage = newStage(r.source)
	r.Session = New(r.source, r.stage, Options{Report: r.note})
	r.Update(list)
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- r.Run(ctx) }()
	synctest.Wait()
	return r
}

func (r *runs) note(p Report) {
	r.told.Lock()
	defer r.told.Unlock()
	r.reports = append(r.reports, line(p))
}

// taken are the reports since it was asked before.
func (r *runs) taken() []string {
	r.told.Lock()
	defer r.told.Unlock()
	out := r.reports
	r.reports = nil
	return out
}

// change edits the source, and tells of it.
func (r *runs) change(edits ...string) {
	edit(r.source, edits...)
	r.tell()
	synctest.Wait()
}

// end ends the session, and says how.
func (r *runs) end(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if !r.quiet() {
		t.Error("something runs when Run has returned")
	}
	if len(r.faults) > 0 {
		t.Error(strings.Join(r.faults, "\n"))
	}
}

func line(r Report) string {
	out := fmt.Sprintf("%s %s %v", r.Service, r.Action, r.Paths)
	if r.Synced.Written.Any() || r.Synced.Removed.Any() {
		out += fmt.Sprintf(" +%d -%d", r.Synced.Written.Files, r.Synced.Removed.Files)
	}
	out += " " + r.Took.String()
	if r.Err != nil {
		out += ": " + r.Err.Error()
	}
	return out
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// slow makes calls whose name begins with the text take that long.
func slow(what string, takes time.Duration) func(string, string) fate {
	return func(_, w string) fate {
		if strings.HasPrefix(w, what) {
			return fate{takes: takes}
		}
		return fate{}
	}
}

func TestRunComparesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, slices.Concat(of("web", app()), of("job", to("/src", "/job"))), "/src/a: 1")
		r.change("/src/b: 1")
		r.end(t)
		reports := r.taken()
		slices.Sort(reports)
		expect(t, "reports", reports, "job sync [/src/b] +1 -0 0s", "web sync [/src/b] +1 -0 0s", "web sync [] +1 -0 0s")
	})
}

func TestRunTellsOfAnEmptyComparison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, of("web", app()))
		r.end(t)
		expect(t, "reports", r.taken(), "web sync [] 0s")
		expect(t, "calls", r.log())
	})
}

// TestRunRestartsWhatDiffers: what runs has read what was there before.
func TestRunRestartsWhatDiffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, of("web", app(), &rules.Rule{Path: "/fresh", Action: rules.SyncRestart, Target: "/fresh", Compare: true}), "/src/a: 1", "/fresh/d/b: 1")
		expect(t, "reports", r.taken(), "web sync+restart [/fresh/d/b] +3 -0 0s")
		r.Renewed("web")
		synctest.Wait()
		r.end(t)
		expect(t, "later reports", r.taken(), "web sync [] 0s")
	})
}

// TestServicesGoOn: one that hangs keeps no other waiting, and its own changes wait for it.
func TestServicesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, slices.Concat(of("slow", to("/src", "/app")), of("quick", to("/src", "/app"))), "/src/x: 1")
		r.decide(func(service, _ string) fate {
			if service == "slow" {
				return fate{takes: 2 * time.Second}
			}
			return fate{takes: 2 * time.Millisecond}
		})
		r.change("/src/a: 1")
		time.Sleep(time.Second)
		r.change("/src/b: 1")
		time.Sleep(time.Second / 2)
		r.change("/src/c: 1")
		time.Sleep(time.Second)
		synctest.Wait()
		expect(t, "reports", r.taken(),
			"quick sync [/src/a] +1 -0 2ms", "quick sync [/src/b] +1 -0 2ms", "quick sync [/src/c] +1 -0 2ms", "slow sync [/src/a] +1 -0 2s")
		time.Sleep(5 * time.Second)
		r.end(t)
		expect(t, "the last report", r.taken(), "slow sync [/src/b /src/c] +2 -0 3s")
	})
}

func TestRebuildIsSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, of("web", app(), plainRule("/src/Gemfile", rules.Rebuild)), "/src/a: 1", "/src/Gemfile: 1")
		r.taken()
		r.decide(slow("rebuild", 10*time.Second))
		r.change("/src/Gemfile: 2")
		time.Sleep(4 * time.Second)
		r.change("/src/a: 2")
		time.Sleep(4 * time.Second)
		r.change("/src/Gemfile: 3")
		time.Sleep(30 * time.Second)
		r.end(t)
		expect(t, "calls", r.log()[1:], "web rebuild cancelled", "web rebuild", "web sync /app/Gemfile <- /src/Gemfile, /app/a <- /src/a")
		expect(t, "reports", r.taken(), "web rebuild [/src/Gemfile] 18s", "web sync [/src/Gemfile /src/a] +2 -0 0s")
	})
}

// TestEndEndsActions: cancelling ends what runs, and waits for it.
func TestEndEndsActions(t *testing.T) {
	for _, what := range []string{"sync", "restart", "signal", "exec", "rebuild"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := begin(t, every())
				r.decide(func(_, w string) fate { return fate{hangs: strings.HasPrefix(w, what)} })
				r.change(map[string]string{
					"sync": "/copy/a: 1", "restart": "/again/a: 1", "signal": "/hup/a: 1", "exec": "/run/a: 1", "rebuild": "/build/a: 1",
				}[what])
				if r.quiet() {
					t.Error("nothing runs")
				}
				r.taken()
				r.end(t)
				expect(t, "reports", r.taken())
			})
		})
	}
}

// TestUpdateEndsWhatIsGone: a service without rules ends what it does, and comes back after that.
func TestUpdateEndsWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, of("web", app()))
		r.decide(func(string, string) fate { return fate{hangs: true} })
		r.change("/src/a: 1")
		r.Update(nil)
		synctest.Wait()
		expect(t, "calls", r.log(), "web sync /app/a <- /src/a cancelled")
		r.change("/src/b: 1")
		r.Renewed("web")
		synctest.Wait()
		r.decide(func(string, string) fate { return fate{} })
		r.Update(of("web", app()))
		synctest.Wait()
		r.end(t)
		expect(t, "calls", r.log()[1:], "web sync /app/a <- /src/a, /app/b <- /src/b")
	})
}

// TestCopyingWaitsForTheTree: before the tree knows what new rules name, nothing is copied or removed.
func TestCopyingWaitsForTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, of("web", app(), plainRule("/again", rules.Restart)), "/src/a: 1", "/more/b: 1")
		look := make(chan error)
		r.roots = func([]tree.Root) error { return <-look }
		r.taken()
		r.Update(of("web", app(), to("/more", "/more"), plainRule("/again", rules.Restart)))
		synctest.Wait()
		r.change("/src/a: 2", "/more/b: 2")
		r.Renewed("web")
		r.change("/again/c: 1")
		expect(t, "while it looks", r.taken())
		look <- nil
		synctest.Wait()
		r.end(t)
		expect(t, "reports", r.taken(), "web sync [/more/b /src/a] +2 -0 0s", "web restart [/again/c] 0s")
	})
}

func TestRunEndsWithTheTree(t *testing.T) {
	t.Run("it cannot watch", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSource()
			s.roots = func([]tree.Root) error { return errors.New("no") }
			run := New(s, newStage(s), Options{})
			run.Update(every())
			if err := run.Run(t.Context()); err == nil || err.Error() != "cannot watch: no" {
				t.Errorf("got %v", err)
			}
		})
	})
	t.Run("it is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := begin(t, every())
			close(r.batches)
			if err := <-r.ended; err == nil {
				t.Error("no error")
			}
		})
	})
}

// TestIdle: nothing is done, and nothing looked at, when nothing happens; not even what could not be done.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, every())
		r.decide(func(string, string) fate { return fate{err: errors.New("no")} })
		r.change("/copy/a: 1", "/build/a: 1", "/again/a: 1")
		before := len(r.log())
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		expect(t, "after a day", r.log()[before:])
		r.end(t)
	})
}
