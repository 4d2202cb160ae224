package records

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/record"
	"stackrun.dev/stack/engine"
)

// state is one of the project x in which each service is of the named kind: "web:1 db:1".
func state(text string, services ...string) *record.Record {
	r := &record.Record{Desired: &desired.Project{Name: "x"}, Up: plan.UpOptions{Services: services}}
	for word := range strings.FieldsSeq(text) {
		name, _, _ := strings.Cut(word, ":")
		c := desired.Container{Name: "x-" + name, Hash: word, Config: engine.CreateConfig{Config: &container.Config{}, Host: &container.HostConfig{}}}
		r.Desired.Services = append(r.Desired.Services, desired.Service{Name: name, Containers: []desired.Container{c}})
	}
	return r
}

func describe(t *testing.T, s Store) string {
	t.Helper()
	text := ""
	for _, read := range []func() (*record.Record, error){s.Current, s.Previous} {
		r, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if text != "" {
			text += ", "
		}
		if r == nil {
			text += "none"
			continue
		}
		var words []string
		for _, s := range r.Desired.Services {
			words = append(words, s.Containers[0].Hash)
		}
		text += strings.Join(words, " ")
	}
	if a, err := s.Attempt(); err != nil {
		t.Fatal(err)
	} else if a != nil {
		text += ", on the way with " + strings.Join(a.Services, " ")
	}
	return text
}

// Each step is a run, and what is known after it.
func TestKeep(t *testing.T) {
	s := Of(t.TempDir(), "key")
	step := func(want string, errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := describe(t, s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	step("none, none")
	step("web:1, none", s.Keep(state("web:1"), false)) // what another program has started
	step("web:1, none, on the way with web", s.Begin(Attempt{Services: []string{"web"}}))
	step("web:2, web:1", s.Keep(state("web:2"), true))
	step("web:2, web:1", s.Keep(state("web:2"), true))  // a repair
	step("web:2, web:1", s.Keep(state("web:3"), false)) // nothing was done
	step("db:1 web:2, web:2", s.Keep(state("db:1 web:9", "db"), true))
	step("db:1 web:2, web:2, on the way with new", s.Begin(Attempt{Services: []string{"new"}}))
	step("db:1 web:2, web:2, on the way with new web", s.Begin(Attempt{Services: []string{"web", "new"}}))
	step("web:3, db:1 web:2", s.Keep(state("web:3"), false)) // what an attempt had left to do by itself has come about
	step("db:1 web:2, web:3", s.Turn(state("db:1 web:2")))
	step("db:1 web:2, web:3, on the way with web", s.Begin(Attempt{Services: []string{"web"}}))
	step("db:1 web:2, web:3", s.Settle())
	step("none, none", s.Drop())
}

// A process that is killed while it writes leaves two states that can be read, and no way back but to the state before the last
// run or to that in which the run found the project.
func TestKilledAnywhere(t *testing.T) {
	if dir := os.Getenv("RECORDS_WRITER"); dir != "" {
		writeForEver(t, Store{dir}) // and no directory of its own: nobody would remove it
	}
	s := Of(t.TempDir(), "key")
	for i := range 20 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledAnywhere$")
		cmd.Env = append(os.Environ(), "RECORDS_WRITER="+s.Dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 2 + i {
			lines.Scan()
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		last, _ := strconv.Atoi(lines.Text())
		checkKilled(t, s, last)
	}
}

// writeForEver brings a project from state to state and prints the number of each that is done.
func writeForEver(t *testing.T, s Store) {
	t.Helper()
	n := 0
	if r, err := s.Current(); err == nil && r != nil {
		n = number(r)
	}
	for {
		n++
		if err := errors.Join(s.Begin(Attempt{At: time.Now(), Services: []string{"web"}}), s.Keep(state(fmt.Sprint("web:", n)), true)); err != nil {
			t.Fatal(err)
		}
		fmt.Println(n)
	}
}

func number(r *record.Record) int {
	_, text, _ := strings.Cut(r.Desired.Services[0].Containers[0].Hash, ":")
	n, _ := strconv.Atoi(text)
	return n
}

func checkKilled(t *testing.T, s Store, last int) {
	t.Helper()
	current, err := s.Current()
	if err != nil || current == nil {
		t.Fatalf("after %d, current: %v, %v", last, current, err)
	}
	previous, err := s.Previous()
	if err != nil || previous == nil {
		t.Fatalf("after %d, previous: %v, %v", last, previous, err)
	}
	attempt, err := s.Attempt()
	if err != nil {
		t.Errorf("after %d: %v", last, err)
	}
	was, is := number(previous), number(current)
	if is < last || was != is && was != is-1 {
		t.Errorf("after %d the states are %d and %d, on the way %v", last, was, is, attempt != nil)
	}
}

// Only the owner may read what is kept: there are secrets in it.
func TestModes(t *testing.T) {
	s := Of(t.TempDir(), "key")
	if err := s.Keep(state("web:1"), true); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{s.Dir: 0o700, filepath.Join(s.Dir, currentName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	list, err := os.ReadDir(s.Dir)
	if err != nil || len(list) != 1 {
		t.Errorf("there are %v, %v", list, err)
	}
}

// A note that the machine did not get onto its disk says that there was an attempt.
func TestDamagedAttempt(t *testing.T) {
	s := Of(t.TempDir(), "key")
	if err := errors.Join(s.Keep(state("web:1"), true), os.WriteFile(filepath.Join(s.Dir, attemptName), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	a, err := s.Attempt()
	if err != nil || a == nil || a.Repairs(state("web:1")) {
		t.Errorf("attempt %v, error %v", a, err)
	}
	if err := s.Begin(Attempt{Services: []string{"web"}}); err != nil {
		t.Fatal(err)
	}
	if got := describe(t, s); got != "web:1, none, on the way with web" {
		t.Errorf("got %s", got)
	}
}

// A state that cannot be read is no obstacle to the next one.
func TestDamaged(t *testing.T) {
	s := Of(t.TempDir(), "key")
	if err := s.Keep(state("web:1"), true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, currentName), []byte(`{"kind":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Current(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
	if err := s.Keep(state("web:2"), true); err != nil {
		t.Fatal(err)
	}
	if got := describe(t, s); got != "web:2, none" {
		t.Errorf("got %s", got)
	}
}
