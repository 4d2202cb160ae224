package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
)

// gate is a lock of which a test says when it can be had.
type gate struct {
	free   chan struct{} // has an element when nobody has it
	holder string
	taken  int
}

func (g *gate) locker(say func(string)) convergence.Locker {
	return func(ctx context.Context, _ string) (func(), error) {
		select {
		case <-g.free:
		default:
			say(g.holder + " is working on project shop; waiting for it")
			select {
			case <-g.free:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		g.taken++
		return func() { g.free <- struct{}{} }, nil
	}
}

func TestTurns(t *testing.T) {
	shop := &desired.Project{Name: "shop", Services: []desired.Service{
		{Name: "db"}, {Name: "side"}, {Name: "web", DependsOn: []desired.Dependency{{Service: "db", Restart: true}}},
	}}
	type reaction struct {
		service     string
		begin, long time.Duration
		project     *desired.Project
	}
	const s = time.Second
	for name, test := range map[string]struct {
		held      time.Duration // how long another run has the lock
		holder    string
		reactions []reaction
		want      []string // when each has its turn
		told      []string
		locks     int
	}{
		"what is about other services waits for nothing": {0, "", []reaction{{"db", 0, 60 * s, shop}, {"side", 5 * s, s, shop}},
			[]string{"db at 0s after 0s", "side at 5s after 0s"}, nil, 1},
		"what is about a dependent waits, and says for what": {0, "", []reaction{{"db", 0, 60 * s, shop}, {"web", 5 * s, s, shop}, {"side", 7 * s, s, shop}},
			[]string{"db at 0s after 0s", "side at 7s after 0s", "web at 1m0s after 55s"}, []string{"web at 6s: db is being rebuilt"}, 2},
		"nobody joins for ever": {0, "", []reaction{{"db", 0, 60 * s, shop}, {"side", 29 * s, s, shop}, {"side", 40 * s, 5 * s, shop}},
			[]string{"db at 0s after 0s", "side at 1m0s after 20s", "side at 29s after 0s"},
			[]string{"side at 41s: db is being rebuilt for long, and others may wait for the project"}, 2},
		"who waits for a moment says nothing": {0, "", []reaction{{"db", 0, 2 * s, shop}, {"web", 1500 * time.Millisecond, s, shop}},
			[]string{"db at 0s after 0s", "web at 2s after 500ms"}, nil, 2},
		"other runs are waited for, by all": {10 * s, "stack up of me (process 1)", []reaction{{"db", 0, s, shop}, {"side", 4 * s, s, shop}},
			[]string{"db at 10s after 10s", "side at 10s after 6s"},
			[]string{"db at 1s: stack up of me (process 1) is working on project shop", "side at 5s: stack up of me (process 1) is working on project shop"}, 1},
		"this run keeps the project": {3 * s, fmt.Sprintf("stack watch of me (process %d, since 10:00:00)", os.Getpid()), []reaction{{"db", 0, s, shop}},
			[]string{"db at 3s after 3s"}, []string{"db at 1s: what the project's files say is being carried out"}, 1},
		"what is wished otherwise comes after what was wished before": {0, "",
			[]reaction{{"db", 0, 9 * s, shop}, {"side", 5 * s, s, &desired.Project{Name: "shop", Services: shop.Services}}},
			[]string{"db at 0s after 0s", "side at 9s after 4s"}, []string{"side at 6s: db is being rebuilt"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				at := func() time.Duration { return time.Since(began) }
				g := &gate{free: make(chan struct{}, 1), holder: test.holder}
				time.AfterFunc(test.held, func() { g.free <- struct{}{} })
				if test.held == 0 {
					synctest.Wait()
				}
				var mu sync.Mutex
				wish := shop
				var got, told []string
				turns := &turns{lock: g.locker, wish: func() *desired.Project {
					mu.Lock()
					defer mu.Unlock()
					return wish
				}, told: func(service, what string) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, fmt.Sprintf("%s at %v: %s", service, at(), what))
				}}
				for _, r := range test.reactions {
					go func() {
						time.Sleep(r.begin)
						mu.Lock()
						wish = r.project
						mu.Unlock()
						mine, waited, err := turns.take(t.Context(), r.service, "rebuilt")
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						got = append(got, fmt.Sprintf("%s at %v after %v", r.service, at(), waited))
						mu.Unlock()
						time.Sleep(r.long)
						turns.end(mine)
					}()
				}
				time.Sleep(time.Hour)
				mu.Lock() // who was under way has ended
				defer mu.Unlock()
				turns.mu.Lock()
				defer turns.mu.Unlock()
				if slices.Sort(got); !slices.Equal(got, test.want) {
					t.Errorf("turns %q, want %q", got, test.want)
				}
				if !slices.Equal(told, test.told) {
					t.Errorf("told %q, want %q", told, test.told)
				}
				if g.taken != test.locks || len(g.free) != 1 {
					t.Errorf("the lock was taken %d times, want %d; free: %v", g.taken, test.locks, len(g.free) == 1)
				}
			})
		})
	}
}

// TestTurnsThatAreGivenUp: nobody waits for who waits no longer.
func TestTurnsThatAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desired.Project{Name: "shop", Services: []desired.Service{{Name: "db"}, {Name: "web"}}}
		g := &gate{free: make(chan struct{}, 1)}
		turns := &turns{lock: g.locker, wish: func() *desired.Project { return d }}
		first, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		go func() {
			if mine, _, err := turns.take(first, "db", "restarted"); mine != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it has a turn: %v, %v", mine, err)
			}
		}()
		time.AfterFunc(time.Minute, func() { g.free <- struct{}{} })
		mine, waited, err := turns.take(t.Context(), "web", "restarted")
		if err != nil || waited != time.Minute {
			t.Fatalf("waited %v: %v", waited, err)
		}
		second, giveUp := context.WithTimeout(t.Context(), time.Second)
		defer giveUp()
		if other, waited, err := turns.take(second, "web", "restarted"); other != nil || waited != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("two have a turn: %v after %v, %v", other, waited, err)
		}
		turns.end(mine)
		if mine, waited, err = turns.take(t.Context(), "web", "restarted"); err != nil || waited != 0 {
			t.Errorf("waited %v: %v", waited, err)
		}
		turns.end(mine)
	})
}
