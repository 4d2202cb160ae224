package syncing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/hook"
	"stackrun.dev/stack/engine"
)

// lastLines is how much of a failed command's output is in its error.
const lastLines = 10

// Signal implements session.Actions.
func (s *Services) Signal(ctx context.Context, service, signal string) error {
	return s.inside(ctx, service, nil, func(m member) error {
		if err := s.engine.ContainerKill(ctx, m.id, signal); err != nil {
			return fmt.Errorf("cannot send %s to container %s of service %s: %w", signal, m.name, service, m.named(err))
		}
		return nil
	})
}

// Exec implements session.Actions. What the command prints goes to Options.Output.
func (s *Services) Exec(ctx context.Context, service string, command types.ServiceHook, only []string) error {
	h := desired.HookOf(command)
	return s.inside(ctx, service, only, func(m member) error {
		out := s.options.Output(service, m.name)
		said := &hook.Tail{Tell: func(text string) { _, _ = io.WriteString(out, text) }}
		err := hook.Run(ctx, s.engine, m.id, h, said)
		if err == nil {
			return nil
		}
		lines := said.Lines(lastLines)
		err = fmt.Errorf("%q failed in container %s of service %s: %w", strings.Join(h.Command, " "), m.name, service, m.named(err))
		if len(lines) > 0 {
			err = fmt.Errorf("%w\n  %s", err, strings.Join(lines, "\n  "))
		}
		return err
	})
}

// inside does something in each running container of the service, or in these of them. One that has ended meanwhile has no failures.
func (s *Services) inside(ctx context.Context, service string, only []string, do func(member) error) error {
	list, err := s.members.of(ctx, service)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(m member) bool { return !m.running || len(only) > 0 && !slices.Contains(only, m.id) })
	errs := make([]error, len(list))
	each(len(list), func(i int) {
		if errs[i] = do(list[i]); errs[i] != nil && s.ended(ctx, list[i], errs[i]) {
			errs[i] = nil
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(errs...)
}

// ended says whether something failed only because the container does not run any more.
func (s *Services) ended(ctx context.Context, m member, err error) bool {
	if _, ran := errors.AsType[hook.Exit](err); ran || !errors.Is(err, engine.ErrConflict) && !errors.Is(err, engine.ErrNotFound) {
		return false
	}
	is, failed := s.engine.ContainerInspect(ctx, m.id)
	return gone(is, failed) || failed == nil && !is.State.Running
}
