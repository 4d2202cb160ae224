package enginetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
)

// nextEvent waits for the next event.
func (f *fixture) nextEvent(messages <-chan events.Message, errs <-chan error) events.Message {
	f.Helper()
	select {
	case m := <-messages:
		return m
	case err := <-errs:
		f.Fatalf("the stream of events ended: %v", err)
	}
	return events.Message{}
}

// actions waits for events until one has the last action, and returns the actions of all.
func (f *fixture) actions(messages <-chan events.Message, errs <-chan error, last string) []string {
	f.Helper()
	var all []string
	for {
		m := f.nextEvent(messages, errs)
		all = append(all, string(m.Action))
		if string(m.Action) == last {
			return all
		}
	}
}

func only(key, value string, more ...filters.KeyValuePair) events.ListOptions {
	return events.ListOptions{Filters: filters.NewArgs(append(more, filters.Arg(key, value))...)}
}

var eventCases = []testCase{
	{"a container's life, in order", func(f *fixture) {
		messages, errs := f.Events(f.ctx, only("label", "enginetest="+f.prefix, filters.Arg("type", "container")))
		id := f.run(sh("exit 5"))
		f.wait(id, "")
		f.remove(id)
		if got := f.actions(messages, errs, "destroy"); !slices.Equal(got, []string{"create", "start", "die", "destroy"}) {
			f.Errorf("got %v", got)
		}
	}},
	{"an event says what happened to what, and when", func(f *fixture) {
		began := time.Now().Add(-time.Minute)
		name := f.name("c")
		id, err := f.tryCreate(name, sh("exit 5"))
		f.must(err)
		messages, errs := f.Events(f.ctx, only("container", id, filters.Arg("event", "die")))
		f.must(f.ContainerStart(f.ctx, id))
		m := f.nextEvent(messages, errs)
		if m.Type != "container" || m.Action != "die" || m.Actor.ID != id || m.Scope != "local" {
			f.Errorf("got %+v", m)
		}
		if a := m.Actor.Attributes; a["name"] != name || a["exitCode"] != "5" || a["image"] != f.Image || a["enginetest"] != f.prefix {
			f.Errorf("attributes are %v", a)
		}
		if at := time.Unix(0, m.TimeNano); at.Before(began) || m.Time != at.Unix() {
			f.Errorf("times are %d and %d", m.Time, m.TimeNano)
		}
	}},
	{"stop and kill", func(f *fixture) {
		id := f.run(sh(graceful))
		f.awaitOutput(id, "ready")
		messages, errs := f.Events(f.ctx, only("container", id, filters.Arg("type", "container")))
		f.must(f.ContainerStop(f.ctx, id, container.StopOptions{}))
		got := f.actions(messages, errs, "stop")
		if !slices.Equal(got, []string{"kill", "die", "stop"}) {
			f.Errorf("got %v", got)
		}
	}},
	{"the subscription holds when the call returns", func(f *fixture) {
		for range 20 {
			ctx, cancel := context.WithCancel(f.ctx)
			v := f.name("v")
			messages, errs := f.Events(ctx, only("volume", v))
			f.must(f.makeAndRemoveVolume(v))
			if got := f.actions(messages, errs, "destroy"); !slices.Equal(got, []string{"create", "destroy"}) {
				f.Errorf("got %v", got)
			}
			cancel()
		}
	}},
	{"networks", func(f *fixture) {
		net, _ := f.network()
		messages, errs := f.Events(f.ctx, only("network", net))
		id := f.run(on(net, nil))
		f.remove(id)
		f.must(f.NetworkRemove(f.ctx, net))
		if got := f.actions(messages, errs, "destroy"); !slices.Equal(got, []string{"connect", "disconnect", "destroy"}) {
			f.Errorf("got %v", got)
		}
	}},
	{"since replays, until ends", func(f *fixture) {
		began := time.Now()
		id := f.run(sh("exit 5"))
		f.wait(id, "")
		f.remove(id)
		all := f.past(id, began.Add(-time.Second), time.Now())
		if got := actionsOf(all); !slices.Equal(got, []string{"create", "start", "die", "destroy"}) {
			f.Fatalf("got %v", got)
		}
		from, to := time.Unix(0, all[1].TimeNano), time.Unix(0, all[2].TimeNano)
		if got := actionsOf(f.past(id, from, to)); !slices.Equal(got, []string{"start", "die"}) {
			f.Errorf("from start to die: %v", got)
		}
	}},
	{"a cancelled stream ends with the context's error", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		_, errs := f.Events(ctx, only("container", "none"))
		cancel()
		f.wantKind("events", <-errs, context.Canceled)
	}},
}

// past reads the events of a container in a period that is over.
func (f *fixture) past(id string, since, until time.Time) []events.Message {
	f.Helper()
	opts := only("container", id, filters.Arg("type", "container"))
	opts.Since, opts.Until = stamp(since), stamp(until)
	messages, errs := f.Events(f.ctx, opts)
	var all []events.Message
	for {
		select {
		case m := <-messages:
			all = append(all, m)
		case err := <-errs:
			if !errors.Is(err, io.EOF) {
				f.Errorf("the stream ended with %v, want EOF", err)
			}
			return all
		}
	}
}

func actionsOf(all []events.Message) []string {
	var actions []string
	for _, m := range all {
		actions = append(actions, string(m.Action))
	}
	return actions
}

// stamp is a time as the API takes it.
func stamp(t time.Time) string { return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond()) }

func (f *fixture) makeAndRemoveVolume(name string) error {
	if _, err := f.VolumeCreate(f.ctx, volume.CreateOptions{Name: name}); err != nil {
		return err
	}
	return f.VolumeRemove(f.ctx, name, false)
}
