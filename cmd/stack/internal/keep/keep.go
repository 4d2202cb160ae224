// Package keep hosts the loops that keep projects converged inside the engine's process. It knows which projects are kept and as
// what, remembers that over the end of the process, and answers requests about it; what a loop does is its caller's business.
package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"stackrun.dev/stack/convergence"
)

// Entry is one kept project: what the command that asked for it was called with.
type Entry struct {
	Project string          `json:"project"`
	Dir     string          `json:"dir"`           // where it was called
	Env     []string        `json:"env,omitempty"` // its environment
	Up      json.RawMessage `json:"up"`            // its options, in the terms of whoever runs the loop
	Since   time.Time       `json:"since"`
	Boot    string          `json:"boot"` // during which boot of the machine the project was last converged
}

// Kept is a project that is kept, for those who ask.
type Kept struct {
	Project string             `json:"project"`
	Dir     string             `json:"dir"`
	Since   time.Time          `json:"since"`
	Status  convergence.Status `json:"status"`
}

// Loop keeps one project until the context is done, and reports how it fares. rebooted: the machine was started again since the
// project was last converged, so that what has exited did not do so on purpose. It ends with convergence.ErrDown when somebody
// has taken the project down.
type Loop func(ctx context.Context, e Entry, rebooted bool, report func(convergence.Status)) error

// Keeper runs one loop for each kept project.
type Keeper struct {
	store store
	loop  Loop
	boot  string
	tell  func(kept int)

	mu      sync.Mutex
	running bool
	ctx     context.Context //nolint:containedctx // of all loops
	cancel  context.CancelFunc
	kept    map[string]*kept
	holds   map[string]int // how many hold a project, so that its loop rests
}

type kept struct {
	entry  Entry
	status convergence.Status
	cancel context.CancelFunc // of its loop, nil while it rests
	ended  chan struct{}
}

// Open reads what was kept from the directory. tell is told how many projects are kept, whenever that changes.
func Open(dir string, loop Loop, tell func(kept int)) (*Keeper, error) {
	k := &Keeper{store: store{dir}, loop: loop, boot: BootID(), tell: tell, kept: map[string]*kept{}, holds: map[string]int{}}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	entries, err := k.store.load()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		k.kept[e.Project] = &kept{entry: e}
	}
	tell(len(k.kept))
	return k, nil
}

// Start begins the loops.
func (k *Keeper) Start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.running = true
	for name := range k.kept {
		k.begin(name)
	}
}

// Close ends the loops and waits for them until the context is done. What is kept is kept on by the next one.
func (k *Keeper) Close(ctx context.Context) {
	k.mu.Lock()
	k.running = false
	k.cancel()
	var ended []chan struct{}
	for _, p := range k.kept {
		if p.cancel != nil {
			ended = append(ended, p.ended)
		}
	}
	k.mu.Unlock()
	for _, over := range ended {
		select {
		case <-over:
		case <-ctx.Done():
			return
		}
	}
}

// List is what is kept, by name.
func (k *Keeper) List() []Kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]Kept, 0, len(k.kept))
	for _, name := range slices.Sorted(maps.Keys(k.kept)) {
		p := k.kept[name]
		out = append(out, Kept{Project: name, Dir: p.entry.Dir, Since: p.entry.Since, Status: p.status})
	}
	return out
}

// Put keeps a project, or keeps it otherwise from now on.
func (k *Keeper) Put(e Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.begin(e.Project)
	k.rest(e.Project) // first, because its end may still write
	if err := k.store.save(e); err != nil {
		return err
	}
	k.kept[e.Project] = &kept{entry: e}
	k.tell(len(k.kept))
	return nil
}

// Delete ends the keeping of a project; its containers go on. One that is not kept is no error.
func (k *Keeper) Delete(project string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.rest(project)
	return k.drop(project)
}

// drop forgets a project whose loop rests or is ending. k.mu is held.
func (k *Keeper) drop(project string) error {
	delete(k.kept, project)
	k.tell(len(k.kept))
	return k.store.remove(project)
}

// Hold lets the project's loop rest until release is called: somebody else works on the project and must neither wait for the
// loop nor be disturbed by it.
func (k *Keeper) Hold(project string) (release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.holds[project]++
	k.rest(project)
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.holds[project]--; k.holds[project] == 0 {
			delete(k.holds, project)
			k.begin(project)
		}
	})
}

// begin starts the project's loop unless it runs or is to rest. k.mu is held.
func (k *Keeper) begin(project string) {
	p := k.kept[project]
	if p == nil || p.cancel != nil || !k.running || k.holds[project] > 0 {
		return
	}
	ctx, cancel := context.WithCancel(k.ctx)
	p.cancel, p.ended = cancel, make(chan struct{})
	go k.run(ctx, p)
}

// rest ends the project's loop and waits for that. k.mu is held, and is not while it waits.
func (k *Keeper) rest(project string) {
	for {
		p := k.kept[project]
		if p == nil || p.cancel == nil {
			return
		}
		p.cancel()
		k.mu.Unlock()
		<-p.ended
		k.mu.Lock()
	}
}

// How long to wait before a loop that has failed is begun again: twice as long each time.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// run begins the loop again whenever it fails.
func (k *Keeper) run(ctx context.Context, p *kept) {
	var err error
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		p.cancel()
		p.cancel = nil
		if errors.Is(err, convergence.ErrDown) && k.kept[p.entry.Project] == p {
			slog.Info("the project was taken down and is no longer kept", "project", p.entry.Project)
			if err := k.drop(p.entry.Project); err != nil {
				slog.Error(err.Error())
			}
		}
		close(p.ended)
	}()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err = k.attempt(ctx, p)
		if ctx.Err() != nil || errors.Is(err, convergence.ErrDown) {
			return
		}
		slog.Error("cannot keep the project converged", "project", p.entry.Project, "error", err)
		k.report(p, convergence.Status{Err: err.Error(), Since: time.Now(), Waits: []string{"it is tried again in " + pause.String()}})
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// attempt runs the loop once. A fault of ours in it must not end the engine.
func (k *Keeper) attempt(ctx context.Context, p *kept) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			slog.Error("fault while keeping a project", "project", p.entry.Project, "fault", fault, "stack", string(debug.Stack()))
			what, _, _ := strings.Cut(fmt.Sprint(fault), "\n") // the rest says where
			err = errors.New("fault of this program: " + what)
		}
	}()
	err = k.loop(ctx, p.entry, p.entry.Boot != k.boot, func(s convergence.Status) { k.report(p, s) })
	if err == nil {
		err = errors.New("it ended by itself")
	}
	return err
}

func (k *Keeper) report(p *kept, s convergence.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p.status = s
	if !s.Converged || p.entry.Boot == k.boot || k.kept[p.entry.Project] != p {
		return
	}
	p.entry.Boot = k.boot
	if err := k.store.save(p.entry); err != nil {
		slog.Error(err.Error())
	}
}
