package main

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/engine"
)

type execOptions struct {
	detach, noTTY, privileged bool

	env           []string
	user, workdir string
	index         int
}

func newExec(a *app) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARGS...]",
		Short: "Run a command in a running container",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExec(cmd.Context(), a, o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.detach, "detach", "d", false, "Do not wait for the command")
	f.BoolVarP(&o.noTTY, "no-tty", "T", false, "Do not give it a terminal (default when input or output is none)")
	f.BoolVar(&o.privileged, "privileged", false, "Give it all capabilities")
	f.StringArrayVarP(&o.env, "env", "e", nil, "Variable NAME=value, or NAME to pass on its value")
	f.StringVarP(&o.user, "user", "u", "", "User to run it as")
	f.StringVarP(&o.workdir, "workdir", "w", "", "Directory to run it in")
	f.IntVar(&o.index, "index", 0, "The container of this number, if the service has several")
	return cmd
}

func runExec(ctx context.Context, a *app, o execOptions, service string, command []string) error {
	sc, err := a.scope(ctx)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s *session) error {
		m, err := s.one(ctx, sc, service, o.index)
		if err != nil {
			return err
		}
		return s.exec(ctx, m, o, command)
	})
}

// exec runs the command in the container with the app's streams and ends with its exit code.
func (s *session) exec(ctx context.Context, m member, o execOptions, command []string) error {
	tty := s.terminalOf()
	if o.noTTY || o.detach {
		tty = nil
	}
	opts := container.ExecOptions{
		User: o.user, Privileged: o.privileged, Tty: tty != nil, WorkingDir: o.workdir, Cmd: command,
		Env:         s.resolveEnv(o.env),
		AttachStdin: !o.detach, AttachStdout: !o.detach, AttachStderr: !o.detach,
	}
	if tty != nil {
		if size := tty.size(); size.Width > 0 {
			opts.ConsoleSize = &[2]uint{size.Height, size.Width}
		}
	}
	id, err := s.ExecCreate(ctx, m.ID, opts)
	if err != nil {
		return err
	}
	if o.detach {
		return s.ExecStart(ctx, id, true, engine.AttachOptions{})
	}
	if err := s.execAttached(ctx, id, tty); err != nil {
		return s.execCode(ctx, id, err)
	}
	return s.execCode(ctx, id, nil)
}

func (s *session) execAttached(ctx context.Context, id string, tty *terminal) error {
	streams := engine.AttachOptions{Stdin: s.in, Stdout: s.out, Stderr: s.err}
	if tty == nil {
		return s.ExecStart(ctx, id, false, streams)
	}
	restore, err := tty.raw()
	if err != nil {
		return err
	}
	defer restore()
	stop := func() {}
	defer func() { stop() }()
	streams.Stderr = nil
	streams.Attached = func() {
		stop = tty.watchSize(ctx, func(ctx context.Context, size container.ResizeOptions) error {
			return s.ExecResize(ctx, id, size)
		})
	}
	return s.ExecStart(ctx, id, false, streams)
}

// execCode passes the command's exit code on. A command that could not be executed has one too, and a message.
func (s *session) execCode(ctx context.Context, id string, failed error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	state, err := s.ExecInspect(ctx, id)
	switch {
	case err != nil && failed != nil:
		return failed
	case err != nil:
		return err
	case state.ExitCode == 0:
		return failed
	case failed != nil:
		return codedError{failed, state.ExitCode}
	}
	return exitCode(state.ExitCode)
}

// codedError has a message and another program's exit code.
type codedError struct {
	error
	code int
}

func (e codedError) Unwrap() error { return e.error }

// resolveEnv gives variables without a value the one that they have here; those that have none are left out.
func (a *app) resolveEnv(env []string) []string {
	own := environment(a.environ)
	var out []string
	for _, pair := range env {
		if name, value, ok := cutEnv(pair, own); ok {
			out = append(out, fmt.Sprintf("%s=%s", name, value))
		}
	}
	return out
}
