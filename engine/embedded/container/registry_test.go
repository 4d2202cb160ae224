package container

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// memory is a store that can be told to fail.
type memory struct {
	mu   sync.Mutex
	all  map[string][]byte
	puts int
	err  error
}

func (m *memory) Put(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.all == nil {
		m.all = map[string][]byte{}
	}
	m.all[key] = value
	m.puts++
	return nil
}

func (m *memory) Delete(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		delete(m.all, key)
	}
	return m.err
}

func (m *memory) All() (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.all), m.err
}

func plain(id, name string) Record {
	return Record{ID: id, Name: name, Config: &container.Config{}, Host: &container.HostConfig{}, State: lifecycle.State{Phase: lifecycle.Created}}
}

func id(c string) string { return strings.Repeat(c, 64) }

func TestRegistryFinds(t *testing.T) {
	r, err := OpenRegistry(&memory{})
	if err != nil {
		t.Fatal(err)
	}
	web, other := New(plain(id("a"), "web"), nil), New(plain("ab"+id("c")[2:], "abc"), nil)
	for _, c := range []*Container{web, other} {
		if _, err := r.Reserve(c.Record().Name, c.ID); err != nil {
			t.Fatal(err)
		}
		r.Add(c)
	}
	for ref, want := range map[string]*Container{"web": web, "/web": web, id("a"): web, "aa": web, "abc": other, "ab": other} {
		if got, err := r.Find(ref); err != nil || got != want {
			t.Errorf("%s is %v, %v", ref, got, err)
		}
	}
	for ref, kind := range map[string]error{"a": engine.ErrInvalid, "nobody": engine.ErrNotFound, "": engine.ErrNotFound} {
		if _, err := r.Find(ref); !errors.Is(err, kind) {
			t.Errorf("%q gave %v", ref, err)
		}
	}
	if _, err := r.Reserve("web", id("b")); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a taken name gave %v", err)
	}
	r.Drop(web)
	if _, err := r.Reserve("web", id("b")); err != nil {
		t.Errorf("a name that is free again gave %v", err)
	}
	for _, bad := range []string{"a", "-x", "a b", "ü1"} {
		if _, err := r.Reserve(bad, id("b")); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%q gave %v", bad, err)
		}
	}
	if name, err := r.Reserve("", id("d")); err != nil || name == "" {
		t.Errorf("generated %q, %v", name, err)
	}
}

func TestRecordsSurvive(t *testing.T) {
	store := &memory{}
	record := plain(id("a"), "web")
	record.State = lifecycle.State{Phase: lifecycle.Restarting, RestartCount: 4, Backoff: 800}
	if err := New(record, store).Save(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRegistry(store)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.Find("web")
	if err != nil || c.State() != record.State {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestSaveWritesWhatChanged(t *testing.T) {
	store := &memory{}
	c := New(plain(id("a"), "web"), store)
	for range 3 {
		if err := c.Save(); err != nil {
			t.Fatal(err)
		}
	}
	if store.puts != 1 {
		t.Errorf("wrote %d times, want once", store.puts)
	}
	store.err = errors.New("disk full")
	c.Change(func(r *Record) { r.Name = "db" })
	if err := c.Save(); !errors.Is(err, store.err) {
		t.Errorf("got %v", err)
	}
	store.err = nil
	if err := c.Forget(); err != nil {
		t.Fatal(err)
	}
	c.Change(func(r *Record) { r.Name = "again" })
	if err := c.Save(); err != nil || len(store.all) != 0 {
		t.Errorf("a removed container was stored again: %v, %v", store.all, err)
	}
}

func TestAwaitSeesEveryExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := plain(id("a"), "web")
		record.Host.RestartPolicy.Name = "always"
		c := New(record, &memory{})
		c.Apply(lifecycle.Started{Pid: 1})
		begin, _ := c.Watch()
		codes := make(chan int)
		go func() {
			m, err := c.Await(t.Context(), func(m Moment) bool { return m.Exits != begin.Exits })
			if err != nil {
				t.Error(err)
			}
			codes <- m.LastExit
		}()
		synctest.Wait()
		c.Apply(lifecycle.ExitSeen{Code: 7})
		c.Apply(lifecycle.Started{Pid: 2})
		if code := <-codes; code != 7 {
			t.Errorf("exit code %d, want 7", code)
		}
	})
}

func TestLockIsExclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(plain(id("a"), "web"), nil)
		inside, order := 0, []string{}
		for i := range 3 {
			go func() {
				if err := c.Lock(t.Context()); err != nil {
					t.Error(err)
					return
				}
				inside++
				order = append(order, fmt.Sprint(i))
				if inside != 1 {
					t.Error("two at once")
				}
				inside--
				c.Unlock()
			}()
		}
		synctest.Wait()
		if len(order) != 3 {
			t.Errorf("only %v had their turn", order)
		}
	})
}
