package main

import (
	"context"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/project"
)

// The engine keeps other projects, too, and reads files that nobody has tried before.
func TestAFaultOfReadingIsAnError(t *testing.T) {
	w := &wisher{name: "x", load: func(context.Context) (*project.Project, *desired.Project, error) { panic("too odd") }}
	if err := w.wish(t.Context()).Err; err == nil || !strings.Contains(err.Error(), "fault of this program: too odd") {
		t.Errorf("the wish says: %v", err)
	}
}
