package model

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// cases is how many situations are tried, each a project that is wanted, one that is there, and options. STACK_SIM_CASES says
// otherwise; STACK_SIM_SEED plays one history again.
const (
	cases      = 100_000
	fewerCases = 10_000 // with -short
)

// TestProperties takes projects through histories made up at random and holds every plan to what is promised of plans; see
// check. The histories are the same each time; $STACK_SIM_CASES asks for so many cases of others, $STACK_SIM_SEED for one history.
func TestProperties(t *testing.T) {
	if text := os.Getenv("STACK_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, err = history(seed)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	wanted := int64(cases)
	if testing.Short() {
		wanted = fewerCases
	}
	start, first := time.Now(), uint64(1)
	if text := os.Getenv("STACK_SIM_CASES"); text != "" {
		wanted, _ = strconv.ParseInt(text, 10, 64)
		first = rand.Uint64()
	}
	tried := tryMany(t, first, wanted)
	t.Logf("%d cases from seed %d on in %v", tried, first, time.Since(start).Round(time.Millisecond))
}

// tryMany plays histories with seeds from the first one on, on all processors, until there were so many cases.
func tryMany(t *testing.T, first uint64, wanted int64) int64 {
	var tried atomic.Int64
	var next atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for tried.Load() < wanted && !t.Failed() {
				seed := first + next.Add(1) - 1
				n, err := history(seed)
				tried.Add(int64(n))
				if err != nil {
					t.Errorf("replay with STACK_SIM_SEED=%d:\n%v", seed, err)
				}
			}
		})
	}
	workers.Wait()
	return tried.Load()
}

const (
	wishesOfHistory = 4
	casesOfWish     = 3
)

// history changes what is wanted and disturbs what is there, again and again, and returns how many cases it has checked.
func history(seed uint64) (checked int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, stack())
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 1))
	x := New("x", nil)
	x.Furnish(rnd)
	wish := NewWish(rnd)
	for range wishesOfHistory {
		d := wish.Desired()
		fresh, err := freshOf(x, d)
		if err != nil {
			return checked, err
		}
		for range casesOfWish {
			c := &situation{rnd: rnd, wish: wish, desired: d, fresh: fresh, before: x}
			x.makeRoom(d)
			c.options = someOptions(rnd, &wish, x)
			if x, err = c.check(); err != nil {
				return checked, fmt.Errorf("%w\n%s\noptions %+v", err, wish.String(), c.options)
			}
			checked++
			x.Disturb(rnd)
		}
		wish = wish.Changed(rnd)
	}
	return checked, nil
}

func stack() []byte {
	text := make([]byte, 4096)
	return text[:runtime.Stack(text, false)]
}

// freshOf is how the project looks after a start from nothing.
func freshOf(x *World, d *desired.Project) (string, error) {
	fresh := New("x", nil)
	fresh.Remote = x.Remote
	if _, err := fresh.Up(d, plan.UpOptions{}, Course{}); err != nil {
		return "", fmt.Errorf("from nothing: %w", err)
	}
	return describe(fresh, d), nil
}

// makeRoom stops containers that hold ports which services of the project want and that no run may stop: those of services that
// it does not have.
func (w *World) makeRoom(d *desired.Project) {
	for _, port := range Published(d) {
		for i := range w.State.Containers {
			c := &w.State.Containers[i]
			if d.Service(c.Service) == nil && w.holder(&w.State.Containers[i], []string{port}) != c && has(c.Ports, port) {
				w.exit(c, 0)
			}
		}
	}
}

func has(list []string, text string) bool {
	for _, s := range list {
		if s == text {
			return true
		}
	}
	return false
}

// someOptions are what a user may ask for.
func someOptions(rnd *rand.Rand, wish *Wish, x *World) plan.UpOptions {
	o := plan.UpOptions{
		RemoveOrphans: one(rnd, 3), RenewVolumes: one(rnd, 10), NoStart: one(rnd, 20), AllResources: one(rnd, 10), Wait: one(rnd, 5), Handover: one(rnd, 2),
	}
	o.Recreate = []plan.Recreate{plan.RecreateForce, plan.RecreateNever, "", "", "", "", ""}[rnd.IntN(7)]
	o.RecreateDeps = []plan.Recreate{plan.RecreateForce, plan.RecreateNever, "", "", "", "", ""}[rnd.IntN(7)]
	if lacksChecks(wish, x) { // who waits for the health of what stays as it is would wait in vain
		o.Recreate, o.RecreateDeps = "", ""
	}
	if one(rnd, 10) {
		o.Pull = desired.PullAlways
	}
	if one(rnd, 4) && !portsMove(wish, x) {
		for i := range wish.Services {
			if wish.enabled(i) && one(rnd, 2) {
				o.Services = append(o.Services, Name(i))
			}
		}
		o.NoDeps = one(rnd, 3) && !shares(wish)
	}
	return o
}

// lacksChecks says that a container has no health check that is to have one, ends or goes on otherwise than it is to, or is in namespaces of
// others than it is to be.
func lacksChecks(wish *Wish, x *World) bool {
	checked, ends := wish.checked(), wish.ends()
	for _, c := range x.State.Containers {
		for i := range checked {
			m := x.made[c.ID]
			if c.Service == Name(i) && (checked[i] && !m.health || ends[i] != m.ends || x.entersOthers(m, wish, wish.Services[i].Shares-1)) {
				return true
			}
		}
	}
	return false
}

// entersOthers says that a container enters namespaces of others than those of the service with this number.
func (w *World) entersOthers(m made, wish *Wish, service int) bool {
	for _, id := range m.joins {
		if c := w.Find(id); c == nil || service < 0 || !wish.enabled(service) || c.Service != Name(service) {
			return true
		}
	}
	return false
}

// portsMove says that a container holds a port that another service is to have: then not every choice of services can start.
func portsMove(wish *Wish, x *World) bool {
	for _, c := range x.State.Containers {
		for _, port := range c.Ports {
			n, _ := strconv.Atoi(port)
			for i := range wish.Services {
				if 8000+(i+wish.Shift)%MaxServices == n && Name(i) != c.Service {
					return true
				}
			}
		}
	}
	return false
}

func shares(wish *Wish) bool {
	for _, s := range wish.Services {
		if s.Shares > 0 {
			return true
		}
	}
	return false
}
