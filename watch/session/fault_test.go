package session

import (
	"errors"
	"regexp"
	"testing"

	"stackrun.dev/stack/watch/rules"
)

// TestFault: a mistake of this program in an action is an error of that action, in one line that says where.
func TestFault(t *testing.T) {
	w := newWorker("web", nil, nil, func(Report) {})
	for name, s := range map[string]step{
		"restart": restartStep{}, "rebuild": rebuildStep{}, "signal": signalStep{}, "exec": execStep{},
		"copy": copyStep{rules: []*rules.Rule{nil}}, "a step of another kind": nil,
	} {
		done := w.perform(t.Context(), s)
		said := regexp.MustCompile(`^fault of this program, please report this line: .+ \(\w+\.go:\d+( < \w+\.go:\d+)*\)$`)
		if !errors.Is(done.err, errFault) || !said.MatchString(done.err.Error()) || done.at.IsZero() {
			t.Errorf("%s: %v at %v", name, done.err, done.at)
		}
	}
}
