package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/observe"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/record"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

// reactions restart and rebuild services of a project that runs, one service at a time or several. They share the project's lock
// with whoever else works on it, so that nobody sees a restart half done.
type reactions struct {
	*session
	wish     func() (*project.Project, *desired.Project) // what the project is to be by now
	kept     func() bool                                 // somebody makes anew what is missing. nil: nobody
	up       plan.UpOptions                              // how it was brought up
	began    time.Time                                   // since when what others have stopped is their wish
	progress view.Progress                               // shows what builds and hooks print
	quiet    bool                                        // but not what builds print
	prune    bool                                        // images that rebuilds leave without a name are removed
	turns    *turns                                      // keeps it apart from what others do to the same services

	mu      sync.Mutex
	left    map[string]bool // IDs of images that rebuilds have replaced
	working map[string]int  // services whose containers may be ending because of a reaction, and of how many
}

// Why nothing was done to a service's containers.
var (
	errStopped = errors.New("it was stopped on purpose")
	errDown    = errors.New("the project was taken down")
)

// Restart restarts the service's containers, also those that have exited, and what depends on them with restart: true. If some are
// named by their IDs, only those of the service. What people have stopped or paused is left alone.
func (r *reactions) Restart(ctx context.Context, service string, only []string) (time.Duration, error) {
	return r.locked(ctx, service, "restarted", func(d *desired.Project, _ []string) error {
		now, err := observe.Listed(ctx, r.Engine, d.Name, d)
		if err != nil {
			return err
		}
		if list := now.Of(service); len(list) > 0 && !slices.ContainsFunc(list, func(c state.Container) bool { return c.Status != state.Paused }) {
			return errors.New("it is paused")
		}
		now.Containers = slices.DeleteFunc(now.Containers, func(c state.Container) bool {
			return c.Status == state.Paused || len(only) > 0 && c.Service == service && !slices.Contains(only, c.ID)
		})
		if len(only) > 0 && len(now.Of(service)) == 0 {
			return nil // they have gone
		}
		p, err := plan.Restart(d, now, plan.LifecycleOptions{Services: []string{service}, Timeout: r.up.Timeout})
		if err != nil {
			return err
		}
		return inOperations(convergence.Apply(ctx, r.Engine, p, convergence.Options{Execute: r.executeOptions()}, r.sink(ctx)))
	})
}

// Rebuild builds the service's image and replaces its containers if it is another one than theirs. The build needs no lock: it may
// take long, and changes nothing that runs.
func (r *reactions) Rebuild(ctx context.Context, service string) (time.Duration, error) {
	_, d := r.wish()
	s := d.Service(service)
	if s == nil || s.Build == nil {
		return 0, engine.Errorf(engine.ErrNotFound, "service %s has no build", service)
	}
	before := r.imageID(ctx, s.Image)
	built := execute.Run(ctx, r.Engine, planBuilds(d.Name, []*desired.Build{s.Build}), r.executeOptions(), r.sink(ctx))
	if err := built.Err(); err != nil {
		return 0, inOperations(err)
	}
	r.displaced(before, r.imageID(ctx, s.Image))
	waited, err := r.locked(ctx, service, "rebuilt", func(d *desired.Project, stopped []string) error {
		return r.replace(ctx, d, service, stopped)
	})
	r.clear(ctx, d.Name)
	return waited, err
}

// replace makes the containers of the service anew that differ from what is wished, and restarts what depends on them with
// restart: true. What it depends on is left alone.
func (r *reactions) replace(ctx context.Context, d *desired.Project, service string, stopped []string) error {
	now, err := observe.Project(ctx, r.Engine, d.Name, d)
	if err != nil {
		return err
	}
	services := slices.DeleteFunc(dragging(d, service), func(name string) bool { return slices.Contains(stopped, name) })
	d, services, err = r.scaled(d, now, services)
	if err != nil || !slices.Contains(services, service) {
		return err
	}
	o := convergence.Options{Execute: r.executeOptions()}
	o.Up = plan.UpOptions{
		Services: services, NoDeps: true, RenewVolumes: r.up.RenewVolumes, Timeout: r.up.Timeout, Given: r.given,
		Fetched: make(map[string]bool), Touched: make(map[string]bool),
	}
	if runsPrograms(d) { // they may have been asked by another run since
		o.Up.Given = r.given.Merge(r.lastGiven(ctx, d))
	}
	for ref := range d.Images() {
		o.Up.Fetched[ref] = true
	}
	for _, c := range now.Containers { // what others of them have done since they were made is their own affair
		o.Up.Touched[c.Name] = true
	}
	_, err = convergence.Run(ctx, r.Engine, d, o, r.sink(ctx))
	return inOperations(err)
}

// scaled is the project with as many containers of the services as there are: another run may have scaled them. Services that have
// none are left out, unless somebody is about to make them.
func (r *reactions) scaled(d *desired.Project, now *state.Project, services []string) (*desired.Project, []string, error) {
	numbers, others := make(map[string]int), false
	services = slices.DeleteFunc(services, func(name string) bool {
		n := replicas(now.Of(name))
		if n == 0 {
			return r.kept == nil || !r.kept()
		}
		numbers[name] = n
		s := d.Service(name)
		others = others || s != nil && len(s.Containers) != n
		return false
	})
	if !others {
		return d, services, nil
	}
	p, _ := r.wish()
	d, _, err := r.desireOf(p, numbers)
	return d, services, err
}

// replicas is how many containers a service is to have by those that there are. Of a replacement that was interrupted there are two
// with one number.
func replicas(there []state.Container) int {
	numbers := make(map[int]bool)
	for _, c := range there {
		if !c.OneOff {
			numbers[c.Number] = true
		}
	}
	return len(numbers)
}

// dragging are the service and those that restart when it does.
func dragging(d *desired.Project, service string) []string {
	out := []string{service}
	for i := 0; i < len(out); i++ {
		for _, s := range d.Services {
			depends := slices.Contains(s.Shares, out[i]) || slices.ContainsFunc(s.DependsOn, func(dep desired.Dependency) bool {
				return dep.Restart && dep.Service == out[i]
			})
			if depends && !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		}
	}
	return out
}

// locked works on the service while nobody else does, unless it was stopped on purpose. It is told what else was. It returns how long
// it has waited for others.
func (r *reactions) locked(
	ctx context.Context, service, doing string, work func(d *desired.Project, stopped []string) error,
) (waited time.Duration, err error) {
	turn, waited, err := r.turns.take(ctx, service, doing)
	if err != nil {
		return waited, err
	}
	defer r.turns.end(turn)
	stopped, down := r.intent(ctx, turn.desired.Name, r.began)()
	switch {
	case down:
		return waited, errDown
	case slices.Contains(stopped, service):
		return waited, errStopped
	}
	r.work(turn.services, +1)
	defer r.work(turn.services, -1)
	return waited, work(turn.desired, stopped)
}

func (r *reactions) work(services []string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.working == nil {
		r.working = make(map[string]int)
	}
	for _, name := range services {
		r.working[name] += n
	}
}

// busy says that containers of the service may be ending because of a reaction.
func (r *reactions) busy(service string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.working[service] > 0
}

// sink shows what builds and hooks print. How far a reaction is, nobody needs to be told.
func (r *reactions) sink(ctx context.Context) execute.Sink {
	n := narrate(ctx, r.progress)
	return func(e execute.Event) {
		_, build := e.Operation.(*plan.BuildImage)
		switch {
		case build && r.quiet:
		case e.Phase == execute.Progress, e.Phase == execute.Noted:
			n.event(e)
		case build && e.Phase != execute.Started:
			id, _ := n.describe(e.Operation)
			r.progress.Event(view.Event{ID: id, State: view.Done}) // ends the last line that was printed
		}
	}
}

// imageID is the image that the reference means now; empty: none.
func (r *reactions) imageID(ctx context.Context, ref string) string {
	found, err := r.ImageInspect(ctx, ref)
	if err != nil {
		return ""
	}
	return found.ID
}

// displaced notes that an image has lost a name to another one.
func (r *reactions) displaced(before, after string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before != "" && before != after {
		if r.left == nil {
			r.left = make(map[string]bool)
		}
		r.left[before] = true
	}
	delete(r.left, after)
}

// clear removes the images that rebuilds have left without a name, as far as no container and no rollback needs them: those are
// tried again after the next rebuild.
func (r *reactions) clear(ctx context.Context, project string) {
	if !r.prune || ctx.Err() != nil {
		return
	}
	needed, err := r.recorded(ctx, project)
	if err != nil {
		return // they may be needed
	}
	r.mu.Lock()
	ids := slices.Sorted(maps.Keys(r.left))
	r.mu.Unlock()
	for _, id := range ids {
		if needed[id] || r.keepImage(ctx, id) {
			continue
		}
		r.mu.Lock()
		delete(r.left, id)
		r.mu.Unlock()
	}
}

// recorded are the IDs of the images of states that rollback may go to.
func (r *reactions) recorded(ctx context.Context, project string) (map[string]bool, error) {
	store, err := r.records(ctx, project)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool)
	for _, read := range []func() (*record.Record, error){store.Current, store.Previous} {
		state, err := read()
		if err != nil {
			return nil, err
		}
		if state == nil {
			continue
		}
		for _, image := range state.Uses() {
			out[image.ID] = true
		}
	}
	return out, nil
}

// keepImage removes the image unless it has a name; true: it is still there, and may be removed later.
func (r *reactions) keepImage(ctx context.Context, id string) bool {
	found, err := r.ImageInspect(ctx, id)
	if err != nil {
		return !errors.Is(err, engine.ErrNotFound)
	}
	if len(found.RepoTags) > 0 {
		return false
	}
	_, err = r.ImageRemove(ctx, id, image.RemoveOptions{PruneChildren: true})
	return err != nil && !errors.Is(err, engine.ErrNotFound)
}
