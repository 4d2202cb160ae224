package syncing

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

type message = events.Message

// member is a container of a service, and no one-off container.
type member struct {
	id, name, service string

	running bool
	seen    bool // whoever syncs has compared it, or was told to
	behind  bool // a sync has failed in it: it is to be compared when it starts
	fresh   bool // what runs there may have begun with what its image has, or has missed something

	asked    bool     // what follows is known
	emptied  []string // what a start empties: where memory is mounted
	volatile bool     // something was synced there
}

// members knows the containers of a project from what an engine tells.
type members struct {
	engine  Engine
	project string

	looking chan struct{} // has what one look at a time takes

	mu       sync.Mutex
	byID     map[string]*member
	filled   bool            // there was a look
	doubted  bool            // the last one failed: there has to be another one
	touched  map[string]bool // what events were about since the look that is under way began; nil: none is
	expected map[string]bool // services that are being rebuilt, and whether a container of theirs has begun
}

func newMembers(e Engine, project string) *members {
	return &members{
		engine: e, project: project, looking: make(chan struct{}, 1), byID: make(map[string]*member), expected: make(map[string]bool),
	}
}

// of returns the containers of a service by name.
func (ms *members) of(ctx context.Context, service string) ([]member, error) {
	ms.mu.Lock()
	known := ms.filled && !ms.doubted
	ms.mu.Unlock()
	if !known {
		if err := ms.look(ctx); err != nil {
			return nil, err
		}
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var out []member
	for _, m := range ms.byID {
		if m.service == service {
			out = append(out, *m)
		}
	}
	slices.SortFunc(out, func(a, b member) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	return out, nil
}

// look lists the containers. What is there at the first look is to be compared by whoever begins anyway.
func (ms *members) look(ctx context.Context) error {
	select {
	case ms.looking <- struct{}{}:
		defer func() { <-ms.looking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ms.mu.Lock()
	ms.touched = make(map[string]bool)
	ms.mu.Unlock()
	list, err := ms.engine.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", desired.LabelProject+"="+ms.project)),
	})
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if err == nil {
		ms.merge(list, ms.touched)
	} else {
		ms.doubted = true
		err = fmt.Errorf("cannot list the containers of project %s: %w", ms.project, err)
	}
	ms.touched = nil
	return err
}

// due returns the services with containers that no event has told of, or, if events were lost, with any.
func (ms *members) due(lost bool) []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	due := make(map[string]bool)
	for _, m := range ms.byID {
		if lost || m.running && !m.seen {
			ms.renew(m, due)
		}
	}
	return slices.Sorted(maps.Keys(due))
}

// merge takes a list in. What events have told since it was asked for is newer.
func (ms *members) merge(list []container.Summary, touched map[string]bool) {
	there := make(map[string]bool)
	for _, c := range list {
		there[c.ID] = true
		if touched[c.ID] || !replica(c.Labels) {
			continue
		}
		m := ms.add(c.ID, c.Labels[desired.LabelService])
		m.running = c.State == container.StateRunning || c.State == container.StatePaused
		if len(c.Names) > 0 {
			m.name = shownName(c.Names[0])
		}
	}
	for id, m := range ms.byID {
		if !there[id] && !touched[id] {
			delete(ms.byID, id)
		}
		m.seen = m.seen || !ms.filled
	}
	ms.filled, ms.doubted = true, false
}

// replica says whether a container with the labels is one of its service's, and was not made for one command or hook.
func replica(labels map[string]string) bool {
	return labels[desired.LabelService] != "" && !strings.EqualFold(labels[desired.LabelOneOff], "true")
}

func shownName(name string) string { return plan.FinalName(strings.TrimPrefix(name, "/")) }

func (ms *members) add(id, service string) *member {
	m := ms.byID[id]
	if m == nil {
		m = &member{id: id, service: service}
		ms.byID[id] = m
	}
	return m
}

// renew notes that a container is about to be compared, by whoever has rebuilt the service or because it is due.
func (ms *members) renew(m *member, due map[string]bool) {
	m.fresh = m.fresh || !m.seen || m.behind
	m.seen, m.behind = true, false
	if _, expected := ms.expected[m.service]; expected {
		ms.expected[m.service] = true
		return
	}
	due[m.service] = true
}

// heard takes in an event and returns the service that is to be compared because of it, if any.
func (ms *members) heard(e message) []string {
	if !replica(e.Actor.Attributes) {
		return nil
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.touched != nil {
		ms.touched[e.Actor.ID] = true
	}
	due := make(map[string]bool)
	ms.change(e, due)
	return slices.Sorted(maps.Keys(due))
}

func (ms *members) change(e message, due map[string]bool) {
	m := ms.byID[e.Actor.ID]
	switch e.Action {
	case events.ActionCreate, events.ActionStart, events.ActionRename:
		m = ms.add(e.Actor.ID, e.Actor.Attributes[desired.LabelService])
		m.name = shownName(e.Actor.Attributes["name"])
	}
	if m == nil {
		return
	}
	switch e.Action {
	case events.ActionStart:
		m.running = true
		if !m.seen || m.behind || m.volatile {
			ms.renew(m, due)
		}
	case events.ActionUnPause:
		if m.behind {
			ms.renew(m, due)
		}
	case events.ActionDie, events.ActionStop:
		m.running = false
	case events.ActionDestroy, events.ActionRemove:
		delete(ms.byID, m.id)
	}
}

// expect notes that a service is being rebuilt: its new containers are compared afterwards.
func (ms *members) expect(service string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.expected[service] = false
}

// settle ends that. It reports whether containers have begun that nobody compares, because the rebuild has failed.
func (ms *members) settle(service string, done bool) (missed bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	missed = ms.expected[service] && !done
	delete(ms.expected, service)
	for _, m := range ms.byID {
		if done && m.service == service {
			m.fresh = m.fresh || !m.seen
			m.seen = true
		}
	}
	return missed
}

// update changes what is known of a container, if it is still there.
func (ms *members) update(id string, change func(*member)) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.byID[id]; m != nil {
		change(m)
	}
}

// forget drops a container that is gone.
func (ms *members) forget(id string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	delete(ms.byID, id)
}
