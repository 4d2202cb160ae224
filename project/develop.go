package project

import (
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Watch is one rule of a service's develop.watch.
type Watch struct {
	types.Trigger

	// NoInitialSync: initial_sync is written, and false. The model cannot tell that from not written.
	NoInitialSync bool

	project *Project
	path    []string
}

// Watches are the rules of the service's develop.watch, in their order.
func (p *Project) Watches(service string) []Watch {
	develop := p.Services[service].Develop
	if develop == nil {
		return nil
	}
	out := make([]Watch, len(develop.Watch))
	for i, trigger := range develop.Watch {
		w := Watch{Trigger: trigger, project: p, path: []string{"services", service, "develop", "watch", index(i)}}
		w.NoInitialSync = !trigger.InitialSync && p.has(w.at([]string{"initial_sync"})...)
		out[i] = w
	}
	return out
}

func (w Watch) at(key []string) []string { return append(slices.Clone(w.path), key...) }

// Position says where the rule is written, or the value that it has under the key.
func (w Watch) Position(key ...string) Position { return w.project.Position(w.at(key)...) }

// Mistake is an Error about the rule, or about the value that it has under the key.
func (w Watch) Mistake(problem, fix string, key ...string) *Error {
	return w.project.mistake("invalid-watch", problem, fix, w.at(key)...)
}
