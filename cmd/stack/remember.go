package main

import (
	"context"
	"maps"
	"reflect"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/records"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/record"
)

// records is where the states of a project are kept: with the state of the embedded engine of this user, whatever engine the
// project is on.
func (s *session) records(ctx context.Context, project string) (records.Store, error) {
	key, err := s.projectKey(ctx, project)
	if err != nil {
		return records.Store{}, err
	}
	root := s.target.Root
	if !s.target.Embedded {
		own, err := launch.Embedded(s.getenv)
		if err != nil {
			return records.Store{}, err
		}
		root = own.Root
	}
	return records.Of(root, key), nil
}

// remember has runs keep the state that they bring the project to, for rollback. What cannot be kept is no reason to leave a
// project as it is; it is said.
func (s *session) remember(ctx context.Context, o *convergence.Options, project string, say func(string)) {
	complain := func(err error) {
		if err != nil {
			say("warning: rollback will not know this state: " + err.Error())
		}
	}
	store, err := s.records(ctx, project)
	if err != nil {
		complain(err)
		return
	}
	up := o.Up
	o.Changing = func(d *desired.Project) error {
		about := record.Of(convergence.Outcome{Desired: d, Up: up})
		complain(store.Begin(records.Attempt{At: s.now(), Services: about.Covered(), Wishes: []record.Wish{about.Wish()}}))
		return nil
	}
	if o.Up.NoStart {
		return // such a state is not one to go back to, but that before it is
	}
	o.Converged = func(out convergence.Outcome) {
		complain(store.Keep(s.describe(record.Of(out)), out.Changed))
	}
}

// forget drops what is kept of a project that was taken down; of some services: they are still part of its states.
func (s *session) forget(ctx context.Context, name string, services []string) error {
	if len(services) > 0 {
		return nil
	}
	store, err := s.records(ctx, name)
	if err != nil {
		return err
	}
	return store.Drop()
}

// describe completes a record with what only this process knows.
func (s *session) describe(r *record.Record) *record.Record {
	r.Program, r.At = version, s.now()
	if runsPrograms(r.Desired) {
		r.Env = s.programEnv()
		for name, value := range environment(s.environ) {
			if r.Env[name] == value {
				delete(r.Env, name) // whoever carries it out has an environment of his own
			}
		}
	}
	return r
}

// runsPrograms says whether programs beside the engine are part of the project.
func runsPrograms(d *desired.Project) bool {
	for i := range d.Services {
		if d.Services[i].Provider != nil || len(d.Services[i].Models) > 0 {
			return true
		}
	}
	return false
}

// lastGiven is what providers and model runners said when the project was last brought up, as far as they are still asked the
// same.
func (s *session) lastGiven(ctx context.Context, d *desired.Project) desired.Given {
	out := desired.Given{Variables: make(map[string]desired.Variables), Endpoints: make(map[string]string)}
	store, err := s.records(ctx, d.Name)
	if err != nil {
		return out
	}
	last, err := store.Current()
	if err != nil || last == nil {
		return out // nothing is known then
	}
	asked := models(last.Desired)
	for _, now := range d.Services {
		if was := last.Desired.Service(now.Name); now.Provider != nil && was != nil && reflect.DeepEqual(was.Provider, now.Provider) {
			if said, known := last.Given.Variables[now.Name]; known {
				out.Variables[now.Name] = said
			}
		}
	}
	for key, model := range models(d) {
		if endpoint, known := last.Given.Endpoints[key]; known && reflect.DeepEqual(asked[key], model) {
			out.Endpoints[key] = endpoint
		}
	}
	return out
}

// models are those that the project's services use, by key.
func models(d *desired.Project) map[string]desired.Model {
	out := make(map[string]desired.Model)
	for i := range d.Services {
		for _, use := range d.Services[i].Models {
			out[use.Key] = use.Model
		}
	}
	return out
}

// recall gives the programs that are run for a recorded project the variables that its files had.
func (a *app) recall(r *record.Record) { a.loaded = maps.Clone(r.Env) }
