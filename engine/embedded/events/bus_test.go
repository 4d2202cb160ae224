package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

func container(action, id string, attributes ...string) events.Message {
	m := events.Message{Type: events.ContainerEventType, Action: events.Action(action), Actor: events.Actor{ID: id, Attributes: map[string]string{}}}
	for i := 0; i < len(attributes); i += 2 {
		m.Actor.Attributes[attributes[i]] = attributes[i+1]
	}
	return m
}

// collect reads a subscription to its end and returns "action id" of each event.
func collect(messages <-chan events.Message, errs <-chan error) (string, error) {
	var seen []string
	for {
		select {
		case m := <-messages:
			seen = append(seen, fmt.Sprintf("%s %s", m.Action, m.Actor.ID))
		case err := <-errs:
			return strings.Join(seen, ", "), err
		}
	}
}

func TestSubscriptionHoldsFromReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		b.Publish(container("create", "a"))
		messages, errs := b.Subscribe(t.Context(), events.ListOptions{})
		b.Publish(container("start", "a"))
		b.Publish(container("die", "a"))
		go func() {
			synctest.Wait()
			b.Close()
		}()
		got, err := collect(messages, errs)
		if want := "start a, die a"; got != want || err != io.EOF {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	})
}

func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		for i := range 600 {
			b.Publish(container("create", fmt.Sprint(i)))
			time.Sleep(time.Second)
		}
		since := time.Now().Add(-2 * time.Second).Format(time.RFC3339)
		got, err := collect(b.Subscribe(t.Context(), events.ListOptions{Since: since, Until: "0s"}))
		if want := "create 598, create 599"; got != want || err != io.EOF {
			t.Errorf("since two seconds: got %q and %v, want %q", got, err, want)
		}
		got, _ = collect(b.Subscribe(t.Context(), events.ListOptions{Since: "1", Until: "0s"}))
		if n := len(strings.Split(got, ", ")); n != remembered {
			t.Errorf("replayed %d events, want %d", n, remembered)
		}
	})
}

func TestUntilInTheFutureEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		until := fmt.Sprint(time.Now().Add(time.Minute).Unix())
		messages, errs := b.Subscribe(t.Context(), events.ListOptions{Until: until})
		go func() {
			b.Publish(container("start", "a"))
			time.Sleep(2 * time.Minute)
			b.Publish(container("die", "a"))
		}()
		got, err := collect(messages, errs)
		if want := "start a"; got != want || err != io.EOF {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
		time.Sleep(time.Hour)
	})
}

func TestASlowListenerHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		ctx, cancel := context.WithCancel(t.Context())
		messages, errs := b.Subscribe(ctx, events.ListOptions{})
		for i := range 5 * remembered {
			b.Publish(container("create", fmt.Sprint(i)))
		}
		for i := range 5 * remembered {
			if m := <-messages; m.Actor.ID != fmt.Sprint(i) {
				t.Fatalf("event %d is %s", i, m.Actor.ID)
			}
		}
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFilters(t *testing.T) {
	all := []events.Message{
		container("create", "abc123", "name", "web", "image", "nginx:1", "com.example", "x"),
		container("health_status: healthy", "abc123", "name", "web", "image", "nginx:1"),
		container("exec_create: ls", "def456", "name", "db", "image", "redis"),
		{Type: events.NetworkEventType, Action: events.ActionConnect, Actor: events.Actor{ID: "n1", Attributes: map[string]string{"name": "front", "container": "abc123"}}},
		{Type: events.ImageEventType, Action: events.ActionPull, Actor: events.Actor{ID: "nginx:1", Attributes: map[string]string{"name": "nginx"}}},
		{Type: events.VolumeEventType, Action: events.ActionCreate, Actor: events.Actor{ID: "data"}},
	}
	for _, test := range []struct{ filter, value, want string }{
		{"type", "volume", "create data"},
		{"event", "create", "create abc123, create data"},
		{"event", "health_status", "health_status: healthy abc123"},
		{"event", "health_status: healthy", "health_status: healthy abc123"},
		{"container", "web", "create abc123, health_status: healthy abc123"},
		{"container", "def", "exec_create: ls def456"},
		{"label", "com.example=x", "create abc123"},
		{"network", "front", "connect n1"},
		{"image", "nginx", "create abc123, health_status: healthy abc123, pull nginx:1"},
		{"image", "redis", "exec_create: ls def456"},
		{"volume", "data", "create data"},
		{"daemon", "x", ""},
	} {
		t.Run(test.filter+"="+test.value, func(t *testing.T) {
			b := New()
			for _, m := range all {
				b.Publish(m)
			}
			opts := events.ListOptions{Since: "1", Until: "0s", Filters: filters.NewArgs(filters.Arg(test.filter, test.value))}
			if got, _ := collect(b.Subscribe(t.Context(), opts)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	for _, opts := range []events.ListOptions{
		{Since: "yesterday"}, {Until: "tomorrow"}, {Filters: filters.NewArgs(filters.Arg("colour", "red"))},
	} {
		if _, err := collect(New().Subscribe(t.Context(), opts)); err == nil || err == io.EOF {
			t.Errorf("%+v gave %v", opts, err)
		}
	}
}
