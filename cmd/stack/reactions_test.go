package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

const reacting = `
name: reacting
services:
  web:
    build: .
    command: [sleep, "1000"]
    stop_grace_period: 0s
    depends_on: [db]
  db: {image: busybox, command: [sleep, "1000"], stop_grace_period: 0s}
  dependent:
    image: busybox
    command: [sleep, "1000"]
    stop_grace_period: 0s
    depends_on: {web: {condition: service_started, restart: true}}
  done: {image: busybox, command: ["true"], depends_on: {web: {condition: service_started, restart: true}}}
`

// reaction is a project that runs on an engine in memory, and reactions to changes of its files.
type reaction struct {
	*testing.T
	*reactions
	dir string
}

func react(t *testing.T, test func(r *reaction)) {
	a, _ := inProcess(t, reacting)
	a.err = io.Discard
	r := &reaction{T: t, dir: filepath.Dir(a.global.files[0])}
	r.write("Dockerfile", "FROM busybox\nCOPY page /page\n")
	r.write("page", "one")
	began := time.Now()
	if code := run(t.Context(), []string{"-f", a.global.files[0], "up", "-d"}, a); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	p, d, err := a.wanted(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = a.with(t.Context(), func(s *session) error {
		progress, err := view.NewProgress("quiet", "", io.Discard, view.Style{})
		r.reactions = &reactions{session: s, wish: func() (*project.Project, *desired.Project) { return p, d }, began: began, progress: progress, prune: true}
		r.turns = &turns{lock: s.patiently, wish: func() *desired.Project { return d }}
		test(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *reaction) write(name, text string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

// containers are the IDs and states of the project's containers, by service.
func (r *reaction) containers() map[string]string {
	r.Helper()
	list, err := r.members(r.Context(), scope{name: "reacting"}, which{stopped: true})
	if err != nil {
		r.Fatal(err)
	}
	out := make(map[string]string)
	for _, m := range list {
		c, err := r.ContainerInspect(r.Context(), m.ID)
		if err != nil {
			r.Fatal(err)
		}
		out[m.service] += m.ID + " " + c.State.StartedAt + " " + string(m.State) + ";"
	}
	return out
}

// started is what containers says of the container.
func started(list, id string) string {
	for c := range strings.SplitSeq(list, ";") {
		if strings.HasPrefix(c, id) {
			return c
		}
	}
	return id
}

// changed are the services of which something is another one than before.
func (r *reaction) changed(before map[string]string) string {
	r.Helper()
	var out []string
	for service, now := range r.containers() {
		if before[service] != now {
			out = append(out, service)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (r *reaction) rebuild(service string) error {
	_, err := r.Rebuild(r.Context(), service)
	return err
}

func (r *reaction) restart(service string, only ...string) error {
	_, err := r.Restart(r.Context(), service, only)
	return err
}

func (r *reaction) expect(what string, got error, want string) {
	r.Helper()
	if (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
		r.Errorf("%s: %v, want %q", what, got, want)
	}
}

func TestRebuildReplacesOneService(t *testing.T) {
	react(t, func(r *reaction) {
		before := r.containers()
		r.write("page", "two")
		r.expect("rebuild", r.rebuild("web"), "")
		needed, err := r.recorded(t.Context(), "reacting")
		if err != nil || len(needed) == 0 {
			t.Fatalf("rollback needs %v, %v", needed, err)
		}
		if got := r.changed(before); got != "dependent web" {
			t.Errorf("other containers than before are those of %q", got)
		}
		r.write("page", "three")
		r.expect("another rebuild", r.rebuild("web"), "")
		list, err := r.ImageList(t.Context(), image.ListOptions{All: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			if len(i.RepoTags) == 0 && !needed[i.ID] {
				t.Errorf("there still is an image without a name: %s", i.ID)
			}
		}
		for id := range needed {
			if _, err := r.ImageInspect(t.Context(), id); err != nil {
				t.Errorf("rollback misses an image: %v", err)
			}
		}
	})
}

// What other runs have made of the project since is not undone.
func TestRebuildLeavesTheNumberOfContainers(t *testing.T) {
	for _, c := range []struct {
		name  string
		first []string // what another run does
		kept  bool
		want  int // containers of the service in the end
		err   error
	}{
		{"more", []string{"up", "-d", "--scale", "web=3"}, false, 3, nil},
		{"none", []string{"up", "-d", "--scale", "web=0"}, false, 0, nil},
		{"none, and somebody makes them", []string{"up", "-d", "--scale", "web=0"}, true, 1, nil},
		{"taken down", []string{"down"}, true, 0, errDown},
	} {
		t.Run(c.name, func(t *testing.T) {
			react(t, func(r *reaction) {
				r.kept = func() bool { return c.kept }
				if code := run(t.Context(), append([]string{"-f", r.global.files[0]}, c.first...), r.another()); code != 0 {
					t.Fatalf("exit code %d", code)
				}
				before := r.containers()
				r.write("page", "two")
				if err := r.rebuild("web"); !errors.Is(err, c.err) {
					t.Errorf("rebuild: %v, want %v", err, c.err)
				}
				now := r.containers()
				if got := strings.Count(now["web"], ";"); got != c.want {
					t.Errorf("%d containers, want %d", got, c.want)
				}
				if now["web"] != "" && now["web"] == before["web"] {
					t.Error("they are the old ones")
				}
			})
		})
	}
}

// A replacement that was given up leaves two containers with one number.
func TestRebuildAfterAnInterruptedReplacement(t *testing.T) {
	react(t, func(r *reaction) {
		list, err := r.members(t.Context(), scope{name: "reacting"}, which{services: []string{"web"}})
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		is, err := r.ContainerInspect(t.Context(), list[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.ContainerCreate(t.Context(), "0123456789ab_reacting-web-1", engine.CreateConfig{Config: is.Config, Host: is.HostConfig}); err != nil {
			t.Fatal(err)
		}
		r.write("page", "two")
		r.expect("rebuild", r.rebuild("web"), "")
		if got := strings.Count(r.containers()["web"], ";"); got != 1 {
			t.Errorf("%d containers, want 1", got)
		}
	})
}

func TestRebuildThatDoesNotComeAboutChangesNothing(t *testing.T) {
	react(t, func(r *reaction) {
		before := r.containers()
		r.write("Dockerfile", "FROM busybox\nCOPY nothing /page\n")
		r.expect("a broken Dockerfile", r.rebuild("web"), "Dockerfile:2")
		r.write("Dockerfile", "FROM busybox\nRUN sleep 1000\n")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r.progress, _ = view.NewProgress("plain", "", lineWriter(func(line string) {
			if strings.Contains(line, "sleep 1000") {
				cancel() // it is in the middle of it
			}
		}), view.Style{})
		if _, err := r.Rebuild(ctx, "web"); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled build: %v", err)
		}
		r.expect("no build", r.rebuild("db"), "service db has no build")
		if got := r.changed(before); got != "" {
			t.Errorf("other containers than before are those of %q", got)
		}
	})
}

func TestWhatWasStoppedIsLeftAlone(t *testing.T) {
	react(t, func(r *reaction) {
		if err := r.apply(t.Context(), "stop", scope{name: "reacting"}, plan.LifecycleOptions{Services: []string{"web"}}, plan.Stop); err != nil {
			t.Fatal(err)
		}
		before := r.containers()
		r.write("page", "two")
		r.expect("rebuild", r.rebuild("web"), errStopped.Error())
		r.expect("restart", r.restart("web"), errStopped.Error())
		if got := r.changed(before); got != "" {
			t.Errorf("other containers than before are those of %q", got)
		}
		r.expect("restart of another one", r.restart("db"), "")
		if got := r.changed(before); got != "db" {
			t.Errorf("other containers than before are those of %q", got)
		}
	})
}

func TestRestartTakesDependentsAlong(t *testing.T) {
	react(t, func(r *reaction) {
		before := r.containers()
		r.expect("restart", r.restart("web"), "")
		if got := r.changed(before); got != "dependent web" {
			t.Errorf("other containers than before are those of %q", got)
		}
		before = r.containers()
		id, _, _ := strings.Cut(before["web"], " ")
		if code := run(t.Context(), []string{"-f", r.global.files[0], "up", "-d", "--scale", "db=2"}, r.another()); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		two, err := r.ContainerInspect(t.Context(), "reacting-db-2")
		if err != nil {
			t.Fatal(err)
		}
		before = r.containers()
		r.expect("restart of one", r.restart("db", two.ID), "")
		if got := r.containers()["db"]; strings.Replace(got, started(got, two.ID), started(before["db"], two.ID), 1) != before["db"] || got == before["db"] {
			t.Errorf("restarted the second of %q: %q", before["db"], got)
		}
		r.expect("restart of one that has gone", r.restart("db", "gone"), "")
		before = r.containers()
		if err := r.ContainerPause(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		before = r.containers()
		r.expect("restart of what is paused", r.restart("web"), "it is paused")
		if got := r.changed(before); got != "" {
			t.Errorf("other containers than before are those of %q", got)
		}
	})
}
