// Package record writes down what a project was brought to, or is to be brought to, so that it can be brought there later
// without reading its files again: the plan that "plan --out" keeps, and the states between which "rollback" goes.
//
// A record holds everything that containers are made of, secrets included. Whoever stores one keeps it from other users.
// Records are plain values; this package reads and writes no files.
package record

import (
	"time"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// Record is a state of a project.
type Record struct {
	Program string    // the version of the program that made it
	At      time.Time // when
	Engine  string    `json:",omitempty"` // the ID of the engine that it is about, where it is not known otherwise

	Desired *desired.Project
	Up      plan.UpOptions    // how it was, or is to be, brought there
	Images  map[string]string `json:",omitempty"` // IDs of its images, by reference
	Running map[string]string `json:",omitempty"` // IDs of the images of containers, by service; they count more
	Given   desired.Given     // what providers and model runners have said
	Env     map[string]string `json:",omitempty"` // what its files add to the environment of these

	Plan *Plan `json:",omitempty"` // of a plan that was kept
}

// Plan is what is to be done, where a record is a kept plan.
type Plan struct {
	convergence.Fixed

	// Contexts are digests of the files that images are built from, by service.
	Contexts map[string]string `json:",omitempty"`

	// Secrets are the contents of secrets of builds, in the order of the builds; see secretsOf.
	Secrets [][]byte `json:",omitempty"`
}

// Of is the record of what a run has brought a project to.
func Of(o convergence.Outcome) *Record {
	return &Record{Desired: o.Desired, Up: o.Up, Images: o.Images, Running: o.Running, Given: o.Given}
}

// imageOf is the ID of the image that the service's containers have; "" if that is not known.
func (r *Record) imageOf(s *desired.Service) string {
	if id := r.Running[s.Name]; id != "" {
		return id
	}
	return r.Images[s.Image]
}

// builds yields every build of the project, those that are contexts of others after these. A build may come twice.
func builds(p *desired.Project) []*desired.Build {
	var out []*desired.Build
	var add func(*desired.Build)
	add = func(b *desired.Build) {
		if b == nil {
			return
		}
		out = append(out, b)
		for _, first := range b.After {
			add(first)
		}
	}
	for i := range p.Services {
		add(p.Services[i].Build)
	}
	return out
}

// secretsOf are where the contents of the secrets of builds are, in a fixed order.
func secretsOf(p *desired.Project) []*[]byte {
	var out []*[]byte
	for _, b := range builds(p) {
		for i := range b.Kit.Secrets {
			out = append(out, &b.Kit.Secrets[i].Content)
		}
	}
	return out
}
