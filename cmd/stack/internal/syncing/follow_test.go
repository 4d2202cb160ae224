package syncing

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
)

// TestRenewed: which services are to be compared after what happened.
func TestRenewed(t *testing.T) {
	tmpfs := func(c *engine.CreateConfig) { c.Host.Tmpfs = map[string]string{"/app/cache": ""} }
	for _, test := range []struct {
		name   string
		before func(w *world) // what is there when watching begins
		then   func(w *world)
		want   string
	}{
		{"what was there", func(w *world) { w.begin("web", "shop-web-1") }, func(*world) {}, ""},
		{"a new container", nil, func(w *world) { w.begin("web", "shop-web-1") }, "web"},
		{"only created", nil, func(w *world) { w.create("shop-web-1", "web") }, ""},
		{"scaled to 3", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) { w.begin("web", "shop-web-2", "shop-web-3") }, "web web"},
		{"recreated", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) {
			w.create("abc_shop-web-1", "web")
			w.remove("shop-web-1")
			w.must(w.ContainerRename(w.t.Context(), "abc_shop-web-1", "shop-web-1"))
			w.start("shop-web-1")
		}, "web"},
		{"restarted", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) { w.restart("shop-web-1") }, ""},
		{"created before, started now", func(w *world) { w.create("shop-web-1", "web") }, func(w *world) { w.start("shop-web-1") }, ""},
		{"new, and restarted", nil, func(w *world) { w.begin("web", "shop-web-1"); w.restart("shop-web-1") }, "web"},
		{"gone", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) { w.remove("shop-web-1") }, ""},
		{"a one-off container", nil, func(w *world) {
			w.create("shop-web-run-1", "web", func(c *engine.CreateConfig) { c.Config.Labels[desired.LabelOneOff] = "True" })
			w.start("shop-web-run-1")
		}, ""},
		{"another project", nil, func(w *world) {
			w.create("web", "web", func(c *engine.CreateConfig) { c.Config.Labels[desired.LabelProject] = "other" })
			w.start("web")
		}, ""},
		{"restarted, memory elsewhere", func(w *world) { w.create("shop-web-1", "web", tmpfs); w.start("shop-web-1") }, func(w *world) {
			w.write("x", "x", 0o644)
			w.sync(session.Work{Files: w.files("x")})
			w.restart("shop-web-1")
		}, ""},
		{"restarted, synced to memory", func(w *world) { w.create("shop-web-1", "web", tmpfs); w.start("shop-web-1") }, func(w *world) {
			w.write("cache/x", "x", 0o644)
			w.sync(session.Work{Files: w.files("cache/x")})
			w.restart("shop-web-1")
			w.restart("shop-web-1")
		}, "web web"},
		{"could not be synced, and restarted", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) {
			w.missed("shop-web-1")
			w.restart("shop-web-1")
			w.restart("shop-web-1")
		}, "web"},
		{"could not be synced, and goes on", func(w *world) { w.begin("web", "shop-web-1") }, func(w *world) {
			w.must(w.ContainerPause(w.t.Context(), "shop-web-1"))
			w.missed("shop-web-1")
			w.must(w.ContainerUnpause(w.t.Context(), "shop-web-1"))
		}, "web"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{})
				if test.before != nil {
					test.before(w)
				}
				w.run()
				synctest.Wait()
				test.then(w)
				synctest.Wait()
				if got := w.took(&w.renewed); got != test.want {
					t.Errorf("renewed %q, want %q", got, test.want)
				}
				if told := w.took(&w.told); told != "" {
					t.Error(told)
				}
			})
		})
	}
}

// missed makes a sync to the container fail.
func (w *world) missed(name string) {
	w.t.Helper()
	back := w.Fail("SyncFiles", name, errors.New("no space left on device"))
	defer back()
	w.write("x", "x", 0o644)
	if _, err := w.services.Sync(w.t.Context(), "web", session.Work{Files: w.files("x")}); err == nil {
		w.t.Error("no error")
	}
}

// TestFollows: the containers are those of now, without another list.
func TestFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1")
		w.run()
		synctest.Wait()
		w.write("a", "a", 0o644)
		for _, step := range []struct {
			do   func()
			want int
		}{
			{func() {}, 1},
			{func() { w.begin("web", "shop-web-2") }, 2},
			{func() { w.create("shop-web-3", "web") }, 3},
			{func() { w.stop("shop-web-2") }, 3},
			{func() { w.remove("shop-web-1") }, 2},
		} {
			step.do()
			synctest.Wait()
			if got := w.sync(session.Work{Files: w.files("a")}); got.Containers != step.want {
				t.Errorf("synced %+v, want %d containers", got, step.want)
			}
		}
		if w.lists != 1 {
			t.Errorf("listed %d times", w.lists)
		}
	})
}

// TestLost: after events were lost all is compared, and what happened meanwhile is known.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1")
		w.begin("db", "shop-db-1")
		w.run()
		synctest.Wait()
		away := w.Fail("", "", engine.Errorf(engine.ErrUnavailable, "nobody answers"))
		w.cut()
		time.Sleep(10 * time.Second)
		if got := w.took(&w.renewed); got != "" {
			t.Errorf("renewed %s while the engine was away", got)
		}
		away()
		w.remove("shop-web-1")
		w.begin("web", "shop-web-2")
		time.Sleep(10 * time.Second)
		if got := w.took(&w.renewed); got != "db web" {
			t.Errorf("renewed %q after the engine was away", got)
		}
		w.write("a", "a", 0o644)
		if got := w.sync(session.Work{Files: w.files("a")}); got.Containers != 1 {
			t.Errorf("synced %+v", got)
		}
		w.begin("web", "shop-web-3")
		synctest.Wait()
		if got := w.took(&w.renewed); got != "web" {
			t.Errorf("renewed %q after the new container", got)
		}
		if told := w.took(&w.told); told != "" {
			t.Errorf("told %s", told)
		}
	})
}

// TestTold: why events cannot be had is told once.
func TestTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1")
		back := w.Fail("Events", "", errors.New("no rights"))
		w.run()
		time.Sleep(time.Minute)
		if told := w.took(&w.told); told != "cannot follow the containers of project shop: no rights" {
			t.Errorf("told %q", told)
		}
		back()
		time.Sleep(time.Minute)
		w.took(&w.renewed)
		w.begin("web", "shop-web-2")
		synctest.Wait()
		if got := w.took(&w.renewed); got != "web" {
			t.Errorf("renewed %q", got)
		}
	})
}

// TestEarly: containers that begin between a Sync and the first look are compared.
func TestEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1")
		w.write("a", "a", 0o644)
		w.sync(session.Work{Files: w.files("a")})
		w.begin("web", "shop-web-2")
		w.run()
		synctest.Wait()
		if got := w.took(&w.renewed); got != "web" {
			t.Errorf("renewed %q", got)
		}
	})
}

// TestSlowList: what happens while the containers are listed is not undone by the list.
func TestSlowList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1", "shop-web-2")
		w.run()
		synctest.Wait()
		w.answer = make(chan struct{})
		listed := make(chan error)
		go func() { listed <- w.services.members.look(t.Context()) }()
		synctest.Wait()
		w.remove("shop-web-1")
		w.begin("web", "shop-web-3")
		synctest.Wait()
		close(w.answer)
		w.must(<-listed)
		list, err := w.services.members.of(t.Context(), "web")
		w.must(err)
		var names []string
		for _, m := range list {
			names = append(names, m.name)
		}
		if want := []string{"shop-web-2", "shop-web-3"}; !slices.Equal(names, want) {
			t.Errorf("the containers are %s, want %s", names, want)
		}
	})
}

// TestRebuild: who has a service rebuilt knows its new containers at once, and is not told of them, now or when their events come.
func TestRebuild(t *testing.T) {
	for name, late := range map[string]bool{"events come before": false, "events come later": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w *world
				w = newWorld(t, Options{Rebuild: func(context.Context, string) (time.Duration, error) {
					w.remove("shop-web-1")
					w.begin("web", "shop-web-2", "shop-web-3")
					w.begin("db", "shop-db-1")
					synctest.Wait()
					return time.Minute, nil
				}})
				w.begin("web", "shop-web-1")
				w.late = make(chan struct{})
				if !late {
					close(w.late)
				}
				w.run()
				synctest.Wait()
				if waited, err := w.services.Rebuild(t.Context(), "web"); err != nil || waited != time.Minute {
					t.Errorf("rebuilt after a wait of %v, %v", waited, err)
				}
				w.write("a", "a", 0o644)
				if got := w.sync(session.Work{Files: w.files("a"), Compare: true}); got.Containers != 2 {
					t.Errorf("synced %+v", got)
				}
				if late {
					close(w.late)
				}
				synctest.Wait()
				if got := w.took(&w.renewed); got != "db" {
					t.Errorf("renewed %q, want the other service only", got)
				}
				w.begin("web", "shop-web-4")
				synctest.Wait()
				if got := w.took(&w.renewed); got != "web" {
					t.Errorf("renewed %q afterwards", got)
				}
			})
		})
	}
}

// TestRebuildFails: what has begun all the same is to be compared.
func TestRebuildFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("the second container does not start")
		var w *world
		w = newWorld(t, Options{Rebuild: func(context.Context, string) (time.Duration, error) {
			w.begin("web", "shop-web-1")
			synctest.Wait()
			return 0, broken
		}})
		w.run()
		synctest.Wait()
		if _, err := w.services.Rebuild(t.Context(), "web"); err != broken {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if got := w.took(&w.renewed); got != "web" {
			t.Errorf("renewed %q", got)
		}
	})
}

func TestEmptied(t *testing.T) {
	is := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{HostConfig: &container.HostConfig{
			Tmpfs:  map[string]string{"/run/": ""},
			Mounts: []mount.Mount{{Type: mount.TypeTmpfs, Target: "/cache"}, {Type: mount.TypeVolume, Target: "/data"}},
		}},
		Mounts: []container.MountPoint{{Type: mount.TypeTmpfs, Destination: "/mem"}, {Type: mount.TypeBind, Destination: "/src"}},
	}
	m := member{emptied: emptiedBy(is)}
	for target, want := range map[string]bool{
		"/run": true, "/run/x": true, "/running": false, "/cache/a/b": true, "/data/x": false, "/mem/x": true, "/src/x": false, "/": false,
	} {
		if got := m.empties(target); got != want {
			t.Errorf("%s: %v, want %v", target, got, want)
		}
	}
	root := member{emptied: []string{"/"}}
	if !root.empties("/x") {
		t.Error("a root in memory keeps nothing")
	}
}
