package plan

import (
	"cmp"
	"fmt"
	"slices"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// hooked is the service of the container if it has hooks to run there, else nil. One-off containers have none.
func (b *builder) hooked(c state.Container) *desired.Service {
	if c.OneOff {
		return nil
	}
	return b.index.services[c.Service]
}

// runHooks adds the hooks of one moment, one after the other, and returns the first and the last of them, or "".
func (b *builder) runHooks(service *desired.Service, moment HookMoment, hooks []desired.Hook, ref, name string, needs ...string) (first, last string) {
	for i, hook := range hooks {
		op := &RunHook{Header: header(service.Name), Container: ref, Moment: moment, Index: i, Hook: hook}
		op.OrExited = moment == PreStop || service.OneOff()
		last = b.add(fmt.Sprintf("run %s[%d] in", moment, i), op, Subject{Container, name}, "", needs...)
		needs = nonEmpty(last)
		if i == 0 {
			first = last
		}
	}
	return first, last
}

// preStop adds the hooks that run before the container is stopped, behind needs, and returns what stopping it needs then.
// A container that does not run, or is frozen, cannot run any.
func (b *builder) preStop(c state.Container, needs []string) (first string, then []string) {
	s := b.hooked(c)
	if s == nil || c.Status != state.Running {
		return "", needs
	}
	first, last := b.runHooks(s, PreStop, s.PreStop, c.ID, c.Name, needs...)
	if last == "" {
		return "", needs
	}
	return first, []string{last}
}

// postStart adds the hooks that run when the start is done, and returns the operation after which the container counts as
// started.
func (b *builder) postStart(s *desired.Service, ref, name, start string) string {
	if s == nil {
		return start
	}
	if _, last := b.runHooks(s, PostStart, s.PostStart, ref, name, start); last != "" {
		return last
	}
	return start
}

// newcomer is a container that is about to start.
type newcomer struct {
	ref, name string
	start     *StartContainer // its needs are complete, but for hooks
	ready     []string        // operations after which the container is there
}

// readyForHooks are the operations after which hooks of the container can be made. What they are on, or whose namespaces they
// enter, may be made anew although the container itself stays.
func (u *up) readyForHooks(s *service, m *member) []string {
	if len(s.PreStart) == 0 || m.now == nil || len(m.causes) > 0 { // making the container waits for all of that
		return m.ready
	}
	return slices.Concat(u.resources(s), s.behind(), m.ready)
}

// preStart puts the service's pre_start hooks in front of the containers that start. Those that are for the service run in
// front of the first container, and only if none runs already.
func (b *builder) preStart(s *desired.Service, starting []newcomer, running bool, image func(*desired.PreStart) string) {
	if s == nil || len(s.PreStart) == 0 || len(starting) == 0 {
		return
	}
	cleared := b.staleHooks(s.Name)
	gates := make([][]string, len(starting)) // per container, what its next hook waits for
	waits := make([]string, len(starting))
	for i := range s.PreStart {
		hook := &s.PreStart[i]
		fetched := nonEmpty(image(hook))
		if hook.PerReplica {
			for j, n := range starting {
				needs := slices.Concat(n.ready, fetched, cleared, gates[j])
				waits[j] = b.preStartIn(s.Name, hook, i, n, needs)
				gates[j] = nonEmpty(waits[j])
			}
			continue
		}
		if running {
			continue
		}
		needs := slices.Concat(starting[0].ready, fetched, cleared)
		for _, gate := range gates {
			needs = append(needs, gate...)
		}
		wait := b.preStartIn(s.Name, hook, i, starting[0], needs)
		for j := range starting {
			waits[j], gates[j] = wait, nonEmpty(wait)
		}
	}
	for j, n := range starting {
		n.start.Needs = append(n.start.Needs, nonEmpty(waits[j])...)
	}
}

// preStartIn adds the container of one hook, from its creation to its removal, and returns the wait for its end. It starts
// when the container that it is for could start. One that fails stays, so that it can be looked at.
func (b *builder) preStartIn(service string, hook *desired.PreStart, i int, n newcomer, needs []string) string {
	what := fmt.Sprintf("pre_start[%d] of service %s", i, service)
	name := hookName(n.name, i)
	subject := Subject{Container, name}
	create := &CreateContainer{Header: header(service), Name: name, Config: hook.For(n.ref)}
	id := b.add("create", create, subject, what, needs...)
	if files := copied(hook.Files); len(files) > 0 {
		id = b.add("copy files to", &CopyFiles{Header: header(service), Container: name, Files: files}, subject, "configs and secrets", id)
	}
	start := &StartContainer{Header: header(service), Container: name}
	start.Needs, start.After = slices.Clone(n.start.Needs), slices.Clone(n.start.After)
	id = b.add("start", start, subject, "", id)
	wait := &WaitCompleted{Header: header(service), Container: name, Of: what}
	id = b.add(hookWait, wait, subject, service+" starts after it", id)
	b.add("remove", &RemoveContainer{Header: header(service), Container: name, Volumes: true}, subject, "it has completed", id)
	return id
}

const hookWait = "wait for the completion of"

// hookName is the name of the container of a pre_start hook that runs in front of the named one.
func hookName(name string, i int) string { return fmt.Sprintf("%s-pre_start-%d", name, i) }

// staleHooks removes containers that are left of pre_start hooks, because these failed or were interrupted.
func (b *builder) staleHooks(service string) []string {
	return b.clearHooks(service, func(state.Container) bool { return true })
}

func (b *builder) clearHooks(service string, stale func(state.Container) bool) []string {
	var out []string
	for _, c := range b.index.hooks[service] {
		if stale(c) {
			op := &RemoveContainer{Header: header(service), Container: c.ID, Volumes: true, Force: true}
			out = append(out, b.add(clearAway, op, Subject{Container, c.Name}, "it is left of an earlier run"))
		}
	}
	return out
}

// tidyHooks removes what an interrupted run has left of hooks that succeeded, or that there are no longer. What failed is kept
// until the service starts.
func (u *up) tidyHooks(s *service) {
	u.clearHooks(s.Name, func(c state.Container) bool {
		return len(s.PreStart) == 0 || c.Status == state.Exited && c.ExitCode == 0
	})
}

// copied are the files that are copied into a container, and not mounted.
func copied(files []desired.File) []desired.File {
	return slices.DeleteFunc(slices.Clone(files), func(f desired.File) bool { return f.Mounted })
}

// imagesOfHooks makes sure that the images of pre_start hooks are there. One that a service builds is not pulled.
func (u *up) imagesOfHooks(s *service) {
	s.hookImage = make(map[string]string, len(s.PreStart))
	for i := range s.PreStart {
		hook := &s.PreStart[i]
		if len(s.Containers) == 0 || u.options.Fetched[hook.Image] {
			continue
		}
		for _, verb := range []string{"build", "pull"} {
			if id := operationID(verb, Image, hook.Image); u.ops[id] != nil {
				s.hookImage[hook.Image] = id
			}
		}
		policy, cause := cmp.Or(u.options.Pull, hook.Pull), u.hookCause(hook)
		switch {
		case s.hookImage[hook.Image] != "" || cause == "":
		case policy == desired.PullNever:
			u.fail(engine.ErrNotFound, "cannot create the pre_start hooks of service %s: there is no image %s, and it may not be pulled", s.Name, hook.Image)
		default:
			op := &PullImage{Header: header(s.Name), Ref: hook.Image, Platform: hook.Platform}
			s.hookImage[hook.Image] = u.add("pull", op, Subject{Image, hook.Image}, cause)
		}
	}
}

// hookCause says why the image of a hook is needed anew, or "".
func (u *up) hookCause(hook *desired.PreStart) string {
	_, there := u.state.Images[hook.Image]
	switch policy := cmp.Or(u.options.Pull, hook.Pull); {
	case !there:
		return missing
	case u.index.builtImage[hook.Image]:
	case policy == desired.PullAlways:
		return pulled
	case policy == desired.PullRefresh:
		return u.refreshCause(hook.Image, hook.Refresh)
	}
	return ""
}

// clearAway is what is done to the containers of hooks that an earlier run has left.
const clearAway = "clear away"
