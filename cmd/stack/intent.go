package main

import (
	"context"
	"os"
	"slices"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/project"
)

// intend tells loops that keep the project converged what somebody wants who has its lock. A loop may then undo what was wanted if it cannot
// be told; that is no reason not to do it.
func (s *session) intend(ctx context.Context, name string, change func(*launch.Intent)) error {
	key, err := s.projectKey(ctx, name)
	if err != nil {
		return err
	}
	run, err := s.runDir()
	if err != nil {
		return err
	}
	was, err := launch.ReadIntent(run, key)
	now := launch.Intent{Down: was.Down, Stopped: slices.Clone(was.Stopped), PID: os.Getpid(), At: s.now()}
	change(&now)
	if err == nil && now.Down == was.Down && slices.Equal(now.Stopped, was.Stopped) && !now.Down {
		return nil
	}
	err = launch.WriteIntent(run, key, now)
	if unusable(err) && !s.target.Embedded {
		return nil // who cannot write there cannot have a loop there either
	}
	if err != nil {
		return s.warn([]project.Warning{{Text: err.Error()}})
	}
	return nil
}

// takenDown is the intent of whoever takes down the services; none: the project.
func takenDown(services []string) func(*launch.Intent) {
	if len(services) > 0 {
		return stopped(services)
	}
	return func(i *launch.Intent) { i.Down, i.Stopped = true, nil }
}

// stopped is the intent of whoever stops the services.
func stopped(services []string) func(*launch.Intent) {
	return func(i *launch.Intent) {
		i.Stopped = append(i.Stopped, services...)
		slices.Sort(i.Stopped)
		i.Stopped = slices.Compact(i.Stopped)
	}
}

// resumed is the intent of whoever starts the services; none: all.
func resumed(services []string) func(*launch.Intent) {
	return func(i *launch.Intent) {
		i.Down = false
		i.Stopped = slices.DeleteFunc(i.Stopped, func(name string) bool { return len(services) == 0 || slices.Contains(services, name) })
	}
}

// intentOf is what a command means that changes what containers do, by its name; nil: nothing.
func intentOf(command string, o plan.LifecycleOptions, p *plan.Plan) func(*launch.Intent) {
	switch command {
	case "start", "restart", "unpause":
		return resumed(o.Services)
	case "kill":
		if !slices.Contains([]string{"", "SIGKILL", "KILL", "9", "SIGTERM", "TERM", "15", "SIGINT", "INT", "2", "SIGQUIT", "QUIT", "3"}, o.Signal) {
			return nil // a message to the process, which goes on
		}
		return stopped(slices.Concat(o.Services, servicesOf(p)))
	case "stop", "pause", "rm":
		return stopped(slices.Concat(o.Services, servicesOf(p)))
	}
	return nil
}

// servicesOf are the services that a plan is about.
func servicesOf(p *plan.Plan) []string {
	var out []string
	for _, op := range p.Operations {
		if name := op.Head().Service; name != "" {
			out = append(out, name)
		}
	}
	return out
}

// resuming is the locker of whoever brings services up: as soon as it has the lock they are no longer stopped on purpose.
func (s *session) resuming(lock convergence.Locker, d *desired.Project, o plan.UpOptions) convergence.Locker {
	return func(ctx context.Context, name string) (func(), error) {
		unlock, err := lock(ctx, name)
		if err != nil || o.NoStart {
			return unlock, err
		}
		if err := s.intend(ctx, name, resumed(brought(d, o))); err != nil {
			unlock()
			return nil, err
		}
		return unlock, nil
	}
}

// brought are the services that are brought up, with what they depend on; none: all.
func brought(d *desired.Project, o plan.UpOptions) []string {
	out := slices.Clone(o.Services)
	for i := 0; i < len(out) && !o.NoDeps; i++ {
		s := d.Service(out[i])
		if s == nil {
			continue
		}
		for _, name := range needs(s) {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func needs(s *desired.Service) []string {
	out := slices.Clone(s.Shares)
	for _, dep := range s.DependsOn {
		out = append(out, dep.Service)
	}
	return out
}
