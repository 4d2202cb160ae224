package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/internal/dag"
)

// Up plans what makes the project as desired. The error says why that is not possible whatever is done, for example that an
// external network is not there; it is of one of the engine's kinds.
func Up(d *desired.Project, s *state.Project, o UpOptions) (*Plan, error) {
	var notes []string
	if len(o.Given.Variables)+len(o.Given.Endpoints) > 0 {
		d, notes = d.With(o.Given)
	}
	u := &up{
		builder:  newBuilder(d, s),
		options:  o,
		services: make(map[string]*service),
		networks: make(map[string]*resource),
		volumes:  make(map[string]string),
		finite:   make(map[string]bool),
	}
	u.plan.Notes = notes
	u.conditions()
	order, err := u.selectServices()
	if err != nil {
		return nil, err
	}
	for _, name := range order {
		u.image(u.services[name])
		u.asksOthers(u.services[name])
	}
	for _, name := range order {
		u.imagesOfHooks(u.services[name])
	}
	u.postpone(order)
	u.consent()
	for _, name := range order {
		u.reconcile(u.services[name])
	}
	for _, name := range order {
		u.restartAfterDependencies(u.services[name])
	}
	u.orphans()
	for _, name := range order {
		u.runProvider(u.services[name])
		u.start(u.services[name])
		u.restartUnhealthy(u.services[name])
	}
	u.reconnect()
	u.spares()
	if len(u.errs) > 0 {
		return nil, errors.Join(u.errs...)
	}
	return u.plan.sort(), nil
}

type up struct {
	*builder
	options  UpOptions
	services map[string]*service
	networks map[string]*resource // by key
	volumes  map[string]string    // the operation that creates it, or "", by key
	evicted  map[string]eviction  // containers that make place for a volume, by ID
	freed    map[string]string    // the operation that gives an address back, by "network address"
	errs     []error

	finite map[string]bool // services whose completion others wait for

	// What only updates by update_config ask for, and is worked out then.
	shared map[string]bool     // services whose namespaces or volumes others use
	wanted map[string][]string // services, by the port of the host that they want
}

// service is what is known about one service while the plan is made.
type service struct {
	*desired.Service
	asked     bool              // and not only a dependency of one that was
	imageID   string            // "" if it is not known before imageOp is done
	imageOp   string            // the operation that pulls or builds the image, or ""
	undecided bool              // whether the image is built, only a failed pull tells
	pending   bool              // its provider has not run yet
	unserved  bool              // a model that it uses is not served yet
	later     bool              // decided in the next round
	hookImage map[string]string // the operation that pulls or builds an image of its hooks, by reference
	members   []*member
	made      bool                           // one of its containers is created or recreated
	anew      anew                           // the most that happens to one of its containers
	touched   bool                           // an earlier round has made or started one of them
	reached   map[desired.Condition][]string // what up.reached has found
	behind    func() []string                // up.afterShared, worked out once
	rollout   *rollout                       // the update of the members that are replaced, if it goes by update_config
}

// member is one desired container and what becomes of it.
type member struct {
	desired.Container
	now     *state.Container // the one that is there, or nil
	causes  []string         // why now is replaced; empty: it stays
	cleared []string         // operations that remove others that claim to be this one
	ready   []string         // operations after which the container is there under its name
	made    string           // of an update: the operation after which the new one is there, under its temporary name
	stopped string           // the operation that stops now, or ""
	before  *Replaced        // what start replaces
	start   string           // the operation that starts it, or ""
	begin   bool             // it is to be started
	why     string           // the cause of that

	// What can be changed of now while it stays; compared says that the engine was asked.
	limits      *limits
	attachments []attachment
	compared    bool
}

// ref is how operations name the container: by ID if it is there and stays.
func (m *member) ref() string {
	if m.now != nil && len(m.causes) == 0 {
		return m.now.ID
	}
	return m.Name
}

// conditions finds the services that are there to end.
func (u *up) conditions() {
	for _, s := range u.desired.Services {
		for _, dep := range s.DependsOn {
			u.finite[dep.Service] = u.finite[dep.Service] || dep.Condition == desired.Completed
		}
	}
}

// selectServices fills u.services and returns their names, dependencies first.
func (u *up) selectServices() ([]string, error) {
	var g dag.Graph
	for i := range u.desired.Services {
		s := &u.desired.Services[i]
		needs := slices.Clip(s.Shares)
		for _, dep := range s.DependsOn {
			needs = append(needs, dep.Service)
		}
		g.Add(s.Name, needs...)
	}
	asked := u.options.Services
	if len(asked) == 0 {
		asked = g.Nodes()
	}
	isAsked := set(asked)
	for _, name := range u.withDependencies(&g, asked) {
		s := u.index.services[name]
		switch {
		case s != nil:
			u.services[name] = &service{Service: s, asked: isAsked[name]}
		case isAsked[name]:
			return nil, engine.Errorf(engine.ErrNotFound, "no such service: %s", name)
		}
	}
	order, err := g.Sort()
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "services depend on each other: %w", err)
	}
	return slices.DeleteFunc(order, func(name string) bool { return u.services[name] == nil }), nil
}

// withDependencies are the names and what they need, as far as that is wanted.
func (u *up) withDependencies(g *dag.Graph, names []string) []string {
	if u.options.NoDeps {
		return u.withProviders(names)
	}
	return g.Closure(names...)
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, name := range names {
		out[name] = true
	}
	return out
}

// image finds out whether the service's image must be built or pulled.
func (u *up) image(s *service) {
	found, there := u.state.Images[s.Image]
	s.imageID = found.ID
	if u.options.Fetched[s.Image] && there {
		return
	}
	if len(s.Containers) == 0 {
		return
	}
	switch cause := u.fetchCause(s, there); {
	case cause == "":
	case u.pullsFirst(s, cause):
		op := &PullImage{Header: header(s.Name), Ref: s.Image, Platform: s.Platform, OrBuild: true}
		s.imageOp, s.imageID = u.add("pull", op, Subject{Image, s.Image}, cause+"; it is built if it cannot be pulled"), ""
		s.undecided = true
	case s.Build != nil && !u.options.NoBuild && cause != pulled:
		s.imageOp, s.imageID = u.build(s.Name, s.Build, cause), ""
	case s.pull(u.options) == desired.PullNever:
		u.errs = append(u.errs, engine.Errorf(engine.ErrNotFound, "cannot create the containers of service %s: there is no image %s, and it may not be pulled", s.Name, s.Image))
	default:
		op := &PullImage{Header: header(s.Name), Ref: s.Image, Platform: s.Platform}
		s.imageOp, s.imageID = u.add("pull", op, Subject{Image, s.Image}, cause), ""
	}
}

const (
	missing = "there is no such image"
	pulled  = "it is to be pulled always"
)

// pullsFirst: the image is missing, and is built only after a pull has failed.
func (u *up) pullsFirst(s *service, cause string) bool {
	pull := s.pull(u.options)
	return s.PullFirst && cause == missing && (pull == desired.PullMissing || pull == desired.PullRefresh) && s.Build != nil && !u.options.NoBuild
}

// fetchCause says why the image is needed anew, or "".
func (u *up) fetchCause(s *service, there bool) string {
	pull := s.pull(u.options)
	switch {
	case s.Build != nil && u.options.Build && s.asked:
		return "a build was asked for"
	case s.Build != nil && pull == desired.PullBuild && !u.options.NoBuild:
		return "it is to be built always"
	case !there && u.options.Unpulled[s.Image] != "":
		return "it cannot be pulled: " + u.options.Unpulled[s.Image]
	case !there:
		return missing
	case pull == desired.PullAlways && s.Build == nil:
		return pulled
	case pull == desired.PullRefresh && s.Build == nil:
		return u.refreshCause(s.Image, s.Refresh)
	}
	return ""
}

// refreshCause says that the image was pulled too long ago, or "".
func (u *up) refreshCause(ref string, after time.Duration) string {
	due := u.state.Images[ref].Tagged.Add(after)
	if u.options.Now.IsZero() || !u.options.Now.After(due) {
		return ""
	}
	if after == 0 {
		return "it is to be pulled again each time"
	}
	return "it is to be pulled again after " + after.String()
}

func (s *service) pull(o UpOptions) desired.PullPolicy {
	if o.Pull != "" {
		return o.Pull
	}
	return s.Pull
}

// postpone puts off services whose containers may or may not have to be replaced, which only the new image, a provider or a
// model runner tells, and what depends on those or wants their ports. Only the ports make it look again: who depends on others
// comes after them in the order.
func (u *up) postpone(order []string) {
	for again := true; again; {
		again = false
		for _, name := range order {
			if s := u.services[name]; !s.later && u.decidedLater(s) {
				s.later, again = true, true
			}
		}
	}
	for _, name := range order {
		if s := u.services[name]; s.later || s.pending {
			u.plan.Undecided, u.plan.Later = true, append(u.plan.Later, name)
		}
	}
}

func (u *up) decidedLater(s *service) bool {
	later := func(other *service) bool { return other.later }
	return s.undecided || s.unserved || !u.provided(s) || s.imageOp != "" && len(u.state.Of(s.Name)) > 0 ||
		slices.ContainsFunc(u.upstream(s), later) || slices.ContainsFunc(u.holdingPorts(s), later)
}

// holdingPorts are the selected services whose containers hold host ports that containers of this one want.
func (u *up) holdingPorts(s *service) []*service {
	var out []*service
	for i := range s.Containers {
		for _, bindings := range s.Containers[i].Config.Host.PortBindings {
			for _, b := range bindings {
				for _, c := range u.index.holdsPort[b.HostPort] {
					if other := u.services[c.Service]; other != nil && other != s {
						out = append(out, other)
					}
				}
			}
		}
	}
	return out
}

// upstream are the selected services that s depends on in any way.
func (u *up) upstream(s *service) []*service {
	var out []*service
	for _, dep := range s.DependsOn {
		if other := u.services[dep.Service]; other != nil {
			out = append(out, other)
		}
	}
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil && !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

func (u *up) orphans() {
	var names []string
	for _, c := range u.builder.orphans() {
		if u.options.RemoveOrphans {
			u.stopAndRemove(c, u.options.Timeout, false, "the project has no service "+c.Service)
		} else if !c.OneOff {
			names = append(names, c.Name)
		}
	}
	if len(names) > 0 {
		u.note("orphan containers, of services that the project no longer has: %s; --remove-orphans removes them", strings.Join(names, ", "))
	}
}

func (u *up) fail(kind error, format string, args ...any) {
	u.errs = append(u.errs, engine.Errorf(kind, "%s", fmt.Sprintf(format, args...)))
}
