package syncing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
	"stackrun.dev/stack/watch/session"
)

// TestRandom: whatever containers do and whatever fails meanwhile, as soon as everything answers and something changes, each
// container of the service has what the host has. STACK_TEST_SEED repeats one run.
func TestRandom(t *testing.T) {
	first, runs := rand.Uint64()>>1, 30
	if seed, err := strconv.ParseUint(os.Getenv("STACK_TEST_SEED"), 10, 64); err == nil {
		first, runs = seed, 1
	}
	for seed := first; seed < first+uint64(runs); seed++ {
		synctest.Test(t, func(t *testing.T) {
			d := newDice(t, seed)
			for range 60 {
				d.roll()
			}
			d.rest()
			d.check()
		})
		if t.Failed() {
			t.Fatalf("STACK_TEST_SEED=%d", seed)
		}
	}
}

// dice do something to a world, and are a simple session beside it: one Sync after the other, all that has failed is done again
// with the next.
type dice struct {
	*world
	*rand.Rand
	t       *testing.T
	serial  int
	there   []string // containers
	content map[string]string
	ever    map[string]bool // names of files that there were
	changed map[string]bool // since the session has last looked
	wakes   chan struct{}
	stop    context.CancelFunc
	faults  []func() // end those that wait for a call
}

var names = []string{"a", "b", "c", "d/e", "d/f", "z"} // the last one changes at the end

func newDice(t *testing.T, seed uint64) *dice {
	d := &dice{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, content: map[string]string{}, ever: map[string]bool{}, changed: map[string]bool{}, wakes: make(chan struct{}, 1)}
	d.world = newWorld(t, Options{Rebuild: func(context.Context, string) (time.Duration, error) {
		d.replace()
		return 0, nil
	}})
	d.late = make(chan struct{})
	close(d.late)
	d.run()
	synctest.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.session(ctx)
	}()
	d.stop = func() { cancel(); <-done }
	t.Cleanup(d.stop)
	return d
}

// session syncs what has changed, and compares all after it was told of new containers.
func (d *dice) session(ctx context.Context) {
	compare, failed := true, false
	due := map[string]bool{}
	for {
		changed := true
		select {
		case <-ctx.Done():
			return
		case <-d.wakes:
		case <-time.After(time.Second): // for what was renewed
			changed = false
		}
		renewed := d.took(&d.renewed) != ""
		compare = compare || renewed
		if !changed && !renewed && (failed || !compare) {
			continue
		}
		d.mu.Lock()
		maps.Copy(due, d.changed)
		clear(d.changed)
		d.mu.Unlock()
		got, err := d.services.Sync(ctx, "web", d.work(due, compare))
		if failed = err != nil; failed {
			continue // with the next change
		}
		compare = false
		clear(due)
		for _, source := range got.Unsettled {
			due[strings.TrimPrefix(source, d.dir+"/")] = true
		}
		if len(due) > 0 {
			d.wake()
		}
	}
}

func (d *dice) wake() {
	select {
	case d.wakes <- struct{}{}:
	default:
	}
}

// work is what is due, or all that there is and was.
func (d *dice) work(due map[string]bool, compare bool) session.Work {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := session.Work{Compare: compare}
	for _, name := range names {
		if !compare && !due[name] {
			continue
		}
		if _, is := d.content[name]; is {
			w.Files = append(w.Files, d.file(name))
		} else if d.ever[name] {
			w.Remove = append(w.Remove, "/app/"+name)
		}
	}
	return w
}

// edit changes a file, or removes it.
func (d *dice) edit(name string) {
	d.mu.Lock()
	d.serial++
	if _, is := d.content[name]; is && d.IntN(3) == 0 {
		delete(d.content, name)
		d.must(os.Remove(filepath.Join(d.dir, name)))
	} else {
		d.content[name], d.ever[name] = fmt.Sprint(d.serial), true
		d.write(name, d.content[name], 0o644)
	}
	d.changed[name] = true
	d.mu.Unlock()
	d.wake()
}

// roll does one thing.
func (d *dice) roll() {
	one := ""
	if len(d.there) > 0 {
		one = d.there[d.IntN(len(d.there))]
	}
	ctx, now := d.t.Context(), container.StopOptions{Timeout: new(int)}
	switch n := d.IntN(16); {
	case n < 4:
		d.edit(names[d.IntN(len(names)-1)])
	case n == 4 || one == "":
		d.fresh()
	case n == 5 || n == 6:
		_ = d.ContainerStart(ctx, one)
	case n == 7:
		_ = d.ContainerStop(ctx, one, now)
	case n == 8:
		_ = d.ContainerRestart(ctx, one, now)
	case n == 9:
		d.replace()
	case n == 10:
		if _, err := d.services.Rebuild(ctx, "web"); err == nil {
			d.note(&d.renewed, "web") // who asks for it compares
		}
	case n == 11:
		d.fault()
	case n == 12:
		d.mu.Lock()
		cut := d.cut
		d.mu.Unlock()
		cut()
	case n == 13:
		d.hold(d.IntN(2) == 0)
	default:
		time.Sleep(time.Duration(d.IntN(3000)) * time.Millisecond)
	}
	if d.IntN(2) == 0 {
		synctest.Wait()
	}
}

// fresh makes a container, which may be started.
func (d *dice) fresh() {
	d.serial++
	name := fmt.Sprint("shop-web-", d.serial)
	d.create(name, "web")
	d.there = append(d.there, name)
	if d.IntN(3) > 0 {
		d.start(name)
	}
}

// replace removes a container and makes another one.
func (d *dice) replace() {
	if len(d.there) > 0 {
		i := d.IntN(len(d.there))
		d.remove(d.there[i])
		d.there = append(d.there[:i], d.there[i+1:]...)
	}
	d.fresh()
}

// fault makes the next call of one kind fail.
func (d *dice) fault() {
	ops := []string{"SyncFiles", "CompareFiles", "ContainerList", "ContainerInspect", "Events"}
	errs := []error{
		engine.Errorf(engine.ErrConflict, "it has ended"), engine.Errorf(engine.ErrInternal, "it failed"),
		engine.Errorf(engine.ErrUnavailable, "nobody answers"), errors.New("no space left on device"),
	}
	d.faults = append(d.faults, d.Inject(memory.Fault{
		Op: ops[d.IntN(len(ops))], Err: errs[d.IntN(len(errs))], Delay: time.Duration(d.IntN(2)) * time.Second, Times: 1,
	}))
}

// hold keeps events back, or lets them come.
func (d *dice) hold(back bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.late:
		if back {
			d.late = make(chan struct{})
		}
	default:
		if !back {
			close(d.late)
		}
	}
}

// rest lets everything come to its end: what has failed is done again with one more change.
func (d *dice) rest() {
	d.hold(false)
	time.Sleep(time.Minute)
	for _, mend := range d.faults {
		mend()
	}
	d.edit("z")
	time.Sleep(time.Minute)
	for _, name := range d.there {
		d.must(d.ContainerStart(d.t.Context(), name))
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	d.stop()
}

// check compares every container with the host.
func (d *dice) check() {
	d.t.Helper()
	for _, name := range d.there {
		want := map[string]string{}
		for _, file := range names {
			want[file] = cmp.Or(d.content[file], "nothing")
		}
		d.has(name, want)
	}
}
