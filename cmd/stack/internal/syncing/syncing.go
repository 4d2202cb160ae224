// Package syncing does to the containers of services what a watch session asks for: it makes their files like those of the host,
// restarts them, sends them signals, executes commands in them, and has their images rebuilt.
package syncing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"stackrun.dev/stack/convergence/feed"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
)

// Engine is what is needed of an engine.
type Engine interface {
	engine.System
	engine.Containers
	engine.Execs
	engine.Syncs
}

// Options are what Services need beside an engine.
type Options struct {
	Project string // its name

	// Restart and Rebuild are session.Actions.
	Restart func(ctx context.Context, service string, only []string) (waited time.Duration, err error)
	Rebuild func(ctx context.Context, service string) (waited time.Duration, err error)

	// Renewed is told of services that have containers which may differ from what was synced: new ones, some that have lost or
	// missed something, and all when the engine's events were lost. It must not block for long. May be nil.
	Renewed func(service string)

	// Told is given what goes wrong beside the actions, which return their own errors: files that cannot be read, once each,
	// and an engine whose events cannot be had. May be nil.
	Told func(error)

	// Output returns where goes what a command prints in a container. Several may print at a time. May be nil.
	Output func(service, container string) io.Writer
}

// Services are the services of a project as containers of an engine.
type Services struct {
	engine  Engine
	options Options
	began   time.Time
	members *members
	reached reached
	sources sources
	open    func(name string) (file, error)
}

var _ session.Actions = (*Services)(nil)

// New returns the services of a project. Run has to be called for the containers to be followed.
func New(e Engine, o Options) *Services {
	if o.Renewed == nil {
		o.Renewed = func(string) {}
	}
	if o.Told == nil {
		o.Told = func(error) {}
	}
	if o.Output == nil {
		o.Output = func(string, string) io.Writer { return io.Discard }
	}
	return &Services{
		engine: e, options: o, began: time.Now(), members: newMembers(e, o.Project), open: openFile,
		sources: sources{restless: make(map[string]int), unreadable: make(map[string]string)},
	}
}

// Run follows what happens to the containers until the context is done.
func (s *Services) Run(ctx context.Context) {
	events := feed.Subscribe(ctx, s.engine, feed.Containers(s.options.Project))
	var told string
	look := func(lost error) error {
		err := s.members.look(ctx)
		told = s.tell(ctx, told, cmp.Or(err, lost))
		if err == nil {
			s.renewed(s.members.due(lost != nil)...)
		}
		return err
	}
	_ = look(nil) // who needs them looks again
	events.Run(func(m message) { s.renewed(s.members.heard(m)...) }, look)
}

func (s *Services) renewed(services ...string) {
	for _, service := range services {
		s.options.Renewed(service)
	}
}

// tell tells once why containers cannot be followed. That the engine has gone away they notice who need it.
func (s *Services) tell(ctx context.Context, told string, err error) (tells string) {
	if err == nil || ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, engine.ErrUnavailable) {
		return ""
	}
	if err.Error() != told {
		s.options.Told(fmt.Errorf("cannot follow the containers of project %s: %w", s.options.Project, err))
	}
	return err.Error()
}

// Restart implements session.Actions.
func (s *Services) Restart(ctx context.Context, service string, only []string) (time.Duration, error) {
	return s.options.Restart(ctx, service, only)
}

// Rebuild implements session.Actions. Containers that begin meanwhile are not told as Renewed: who asks for a Rebuild compares
// them afterwards, unless it fails.
func (s *Services) Rebuild(ctx context.Context, service string) (time.Duration, error) {
	s.members.expect(service)
	waited, err := s.options.Rebuild(ctx, service)
	if err == nil {
		_ = s.members.look(ctx) // else the comparison looks again
	}
	if missed := s.members.settle(service, err == nil); missed {
		s.renewed(service)
	}
	return waited, err
}
