package plan

import (
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// builder adds operations to a plan and hands out their IDs.
type builder struct {
	plan    *Plan
	desired *desired.Project // nil when there is no Compose file
	state   *state.Project
	ops     map[string]Operation // by ID
	heads   map[string]string    // the first hook of the moment, by the operation that the hooks come before
	index   *index
}

func newBuilder(d *desired.Project, s *state.Project) *builder {
	size := len(s.Containers) // there are about two operations for whatever there is or is to be
	if d != nil {
		size += len(d.Services)
	}
	return &builder{
		plan: &Plan{Project: s.Name}, desired: d, state: s, index: newIndex(d, s),
		ops: make(map[string]Operation, 2*size), heads: make(map[string]string),
	}
}

func (b *builder) note(format string, args ...any) {
	b.plan.Notes = append(b.plan.Notes, fmt.Sprintf(format, args...))
}

// add names the operation after what it does, and returns its ID. An operation that is there already is not added twice;
// its needs are.
func (b *builder) add(verb string, op Operation, subject Subject, cause string, needs ...string) string {
	h := op.Head()
	h.ID = operationID(verb, subject.Kind, subject.Name)
	h.Subject, h.Cause = subject, cause
	h.Needs = append(h.Needs, slices.DeleteFunc(needs, func(id string) bool { return id == "" })...)
	if twin, ok := b.ops[h.ID]; ok {
		known := twin.Head()
		known.Needs = append(known.Needs, h.Needs...)
		known.After = append(known.After, h.After...)
		return h.ID
	}
	b.ops[h.ID] = op
	b.plan.Operations = append(b.plan.Operations, op)
	return h.ID
}

func operationID(verb string, kind Kind, name string) string {
	return verb + " " + lower(kind) + " " + name
}

func lower(k Kind) string { return strings.ToLower(string(k)) }

// BuildImages are the operations that build an image for a service, after those that are contexts of it.
func BuildImages(service string, build *desired.Build) []Operation {
	b := newBuilder(nil, &state.Project{})
	b.build(service, build, "")
	return b.plan.Operations
}

// build builds the image after those that are contexts of it.
func (b *builder) build(service string, build *desired.Build, cause string) string {
	var needs []string
	for _, first := range build.After {
		needs = append(needs, b.build(first.Service, first, "the image of "+service+" is made of it"))
	}
	return b.add("build", &BuildImage{Header: header(service), Ref: build.Image(), Build: build}, Subject{Image, build.Image()}, cause, needs...)
}

func header(service string) Header { return Header{Service: service} }

// stop adds the hooks that come before a stop, and the stop.
func (b *builder) stop(c state.Container, timeout *int, cause string, needs ...string) string {
	first, needs := b.preStop(c, needs)
	op := &StopContainer{Header: header(c.Service), Container: c.ID, Timeout: timeout}
	id := b.add("stop", op, Subject{Container, c.Name}, cause, needs...)
	if first != "" {
		b.heads[id] = first
	}
	return id
}

// headOf is the header of the operation, or of the first of the hooks that come before it.
func (b *builder) headOf(id string) *Header {
	if first := b.heads[id]; first != "" {
		id = first
	}
	return b.ops[id].Head()
}

func (b *builder) remove(c state.Container, volumes bool, cause string, needs ...string) string {
	op := &RemoveContainer{Header: header(c.Service), Container: c.ID, Volumes: volumes}
	return b.add("remove", op, Subject{Container, c.Name}, cause, needs...)
}

// stopAndRemove stops the container first if it has a process.
func (b *builder) stopAndRemove(c state.Container, timeout *int, volumes bool, cause string, needs ...string) string {
	if c.Status.Alive() {
		needs = []string{b.stop(c, timeout, cause, needs...)}
	}
	return b.remove(c, volumes, cause, needs...)
}

// orphans are the project's containers of services that it does not have. Those of run that are over count as such. Those of
// hooks are cleared away when the hooks run again.
func (b *builder) orphans() []state.Container {
	var out []state.Container
	for _, c := range b.state.Containers {
		service := b.index.services[c.Service]
		if service != nil && c.Hook != "" {
			continue
		}
		known := service != nil || b.index.disabled[c.Service]
		if !known || c.OneOff && !c.Status.Alive() {
			out = append(out, c)
		}
	}
	return out
}
