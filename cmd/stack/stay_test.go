package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
)

// Rounds that fail in turns for two reasons say each once; what fails again after a round that succeeded is said again.
func TestStaySaysEachFailureOnce(t *testing.T) {
	var out bytes.Buffer
	s := &stay{
		session: &session{app: &app{err: &out, getenv: os.Getenv, global: globalFlags{ansi: "never"}}},
		first:   wished{desired: &desired.Project{Name: "p"}}, said: map[string]bool{},
	}
	for _, failure := range []string{"", "one", "two", "one", "two", "", "one"} {
		s.status(convergence.Status{Err: failure})
	}
	var said []string
	for line := range strings.Lines(out.String()) {
		said = append(said, strings.Fields(line)[len(strings.Fields(line))-1])
	}
	if got := strings.Join(said, " "); got != "one two one" {
		t.Errorf("said %q, in\n%s", got, out.String())
	}
}
