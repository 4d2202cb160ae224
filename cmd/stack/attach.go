package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

type attachOptions struct {
	detachKeys       string
	index            int
	noStdin, proxied bool
}

func newAttach(a *app) *cobra.Command {
	var o attachOptions
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] SERVICE",
		Short: "Connect to a container's own input and output",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sc, err := a.scope(cmd.Context())
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), func(s *session) error {
				m, err := s.one(cmd.Context(), sc, args[0], o.index)
				if err != nil {
					return err
				}
				return s.attach(cmd.Context(), m.ID, o, nil)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.detachKeys, "detach-keys", "", "Keys that detach from a terminal (default ctrl-p,ctrl-q)")
	f.IntVar(&o.index, "index", 0, "The container of this number, if the service has several")
	f.BoolVar(&o.noStdin, "no-stdin", false, "Do not connect standard input")
	f.BoolVar(&o.proxied, "sig-proxy", true, "Pass signals on to the process")
	return cmd
}

// attachment is the app's streams connected to a container's own.
type attachment struct {
	*session
	id      string
	opts    attachOptions
	tty     bool // the container has a terminal
	keys    *keyWatch
	stdin   bool // the container reads
	start   func(context.Context) error
	startup error
	stop    func()
}

// attach connects the app's streams to the container's and ends with its exit code; detaching is no failure. start, if
// not nil, is called once the streams are connected, and its failure ends the attachment.
func (s *session) attach(ctx context.Context, id string, o attachOptions, start func(context.Context) error) error {
	state, err := s.ContainerInspect(ctx, id)
	if err != nil {
		return err
	}
	keys, err := watchKeys(s.in, o.detachKeys)
	if err != nil {
		return err
	}
	t := &attachment{session: s, id: id, opts: o, keys: keys, start: start, stop: func() {}}
	t.tty, t.stdin = state.Config.Tty, state.Config.OpenStdin && !o.noStdin
	// Signals are passed on, so the streams stay until the process has ended.
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done, failed := s.ContainerWait(alive, id, container.WaitConditionNextExit)
	if err := t.connect(ctx, alive); err != nil {
		return err
	}
	return t.exitCode(alive, done, failed)
}

// connect returns when the process has exited or the user has detached.
func (t *attachment) connect(ctx, alive context.Context) error {
	alive, abort := context.WithCancel(alive)
	defer abort()
	streams := engine.AttachOptions{Stdout: t.out, Stderr: t.err, DetachKeys: t.opts.detachKeys}
	if t.stdin {
		streams.Stdin = t.keys
	}
	terminal := t.terminalOf()
	if !t.tty {
		terminal = nil
	}
	if terminal != nil && t.stdin {
		restore, err := terminal.raw()
		if err != nil {
			return err
		}
		defer restore()
	}
	if t.opts.proxied {
		defer t.proxySignals(alive, t.id)()
	} else {
		defer context.AfterFunc(ctx, abort)()
	}
	streams.Attached = func() { t.attached(alive, abort, terminal) }
	err := t.ContainerAttach(alive, t.id, streams)
	t.stop()
	if t.startup != nil {
		return t.startup
	}
	return err
}

func (t *attachment) attached(ctx context.Context, abort func(), terminal *terminal) {
	if t.start != nil {
		if t.startup = t.start(ctx); t.startup != nil {
			abort()
			return
		}
	}
	if terminal != nil {
		t.stop = terminal.watchSize(ctx, func(ctx context.Context, size container.ResizeOptions) error {
			return t.ContainerResize(ctx, t.id, size)
		})
	}
}

// exitCode waits for the exit code of a container whose output has ended. One that still runs was detached from.
func (t *attachment) exitCode(ctx context.Context, done <-chan container.WaitResponse, failed <-chan error) error {
	if t.tty && t.keys.pressed() {
		if state, err := t.ContainerInspect(ctx, t.id); err == nil && state.State.Running {
			return nil
		}
	}
	select {
	case r := <-done:
		if r.StatusCode != 0 {
			return exitCode(r.StatusCode)
		}
		return nil
	case err := <-failed:
		return err
	}
}

// proxySignals passes signals that this process gets on to the container until stop is called.
func (s *session) proxySignals(ctx context.Context, id string) (stop func()) {
	got := make(chan os.Signal, 8)
	signal.Notify(got, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for {
			select {
			case sig := <-got:
				// A process that has just ended gets no signals any more.
				_ = s.ContainerKill(ctx, id, unix.SignalName(sig.(unix.Signal)))
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(got)
		cancel()
	}
}
