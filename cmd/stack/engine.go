package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/view"
)

func newEngine(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "engine COMMAND",
		Short: "Run, ask and stop the embedded engine",
	}
	cmd.AddCommand(a.notDry(newEngineRun(a)), newEngineStatus(a), a.notDry(newEngineEnv(a)), a.notDry(newEngineStop(a)), a.notDry(newEngineEnable(a)))
	return cmd
}

// notDry makes the command refuse --dry-run: it does one thing, and cannot show it without doing it.
func (a *app) notDry(cmd *cobra.Command) *cobra.Command {
	do := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.global.dryRun {
			return errors.New(cmd.CommandPath() + " does not go with --dry-run: nothing was done")
		}
		return do(cmd, args)
	}
	return cmd
}

// embedded is the embedded engine's place, whatever DOCKER_HOST says.
func (a *app) embedded() (launch.Target, error) {
	t, err := launch.Embedded(a.getenv)
	if err != nil {
		return t, usageError{err}
	}
	return t, nil
}

func newEngineRun(a *app) *cobra.Command {
	var idle string
	var readyFD int
	var detached bool
	cmd := &cobra.Command{
		Use:   "run [OPTIONS]",
		Short: "Run the engine in the foreground; other commands start one by themselves",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			grace, err := idleTime(idle, a.getenv("STACK_IDLE"))
			if err != nil {
				return err
			}
			t, err := a.embedded()
			if err != nil {
				return err
			}
			a.lasts()
			o := launch.ServeOptions{Open: a.open, Version: version, APIVersion: apiVersion, Idle: grace, Detach: detached, Log: logTo, Guest: a.keeperOf}
			if readyFD > 0 {
				o.Ready = os.NewFile(uintptr(readyFD), "ready")
			} else {
				o.Listening = func() { fmt.Fprintln(a.err, "the engine listens on "+t.Host) }
			}
			return launch.Serve(cmd.Context(), t, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&idle, "idle", "", "Leave after this time in which nothing runs and nobody is connected; 0 for never (default: $STACK_IDLE or 10s)")
	f.IntVar(&readyFD, "ready-fd", 0, "")
	f.BoolVar(&detached, "detached", false, "")
	for _, internal := range []string{"ready-fd", "detached"} {
		_ = f.MarkHidden(internal)
	}
	return cmd
}

func idleTime(flag, env string) (time.Duration, error) {
	text := flag
	if text == "" {
		text = env
	}
	if text == "" {
		return launch.DefaultIdle, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, usagef("idle time %q is not a duration such as 30s, or 0 for never", text)
	}
	return d, nil
}

// logTo sends what the engine's parts and libraries log to w.
func logTo(w io.Writer) {
	slog.SetDefault(slog.New(slog.NewTextHandler(w, nil)))
	logrus.SetOutput(w)
}

func newEngineStatus(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "status [OPTIONS]",
		Short: "Show whether the engine runs, and where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.embedded()
			if err != nil {
				return err
			}
			s, err := launch.Ask(cmd.Context(), t)
			if err != nil {
				return err
			}
			if format == "json" {
				return view.JSON(a.out, s)
			}
			showStatus(a.out, s)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "json, or text if not given")
	return cmd
}

func showStatus(out io.Writer, s launch.Status) {
	if s.Running {
		fmt.Fprintf(out, "running      process %d, version %s\n", s.PID, s.Version)
		fmt.Fprintf(out, "containers   %d running\n", s.Containers)
		if s.Kept > 0 {
			fmt.Fprintf(out, "projects     %d kept converged\n", s.Kept)
		}
	} else {
		fmt.Fprintln(out, "not running  the next command that needs it starts it")
	}
	fmt.Fprintf(out, "socket       %s\nstate        %s\nlog          %s\n", s.Socket, s.Root, s.Log)
}

func newEngineEnv(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: `Start the engine, keep it, and print how other tools reach it: eval "$(stack engine env)"`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.embedded()
			if err != nil {
				return err
			}
			// Other tools cannot start an engine that has left because it was idle.
			if err := launch.Hold(cmd.Context(), t, engineProgram); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "export DOCKER_HOST=%s\n", shellQuote(t.Host))
			return nil
		},
	}
}

// shellQuote quotes a word for POSIX shells if it needs to be.
func shellQuote(word string) string {
	plain := strings.IndexFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/:._-+@%", r)
	}) < 0
	if plain && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func newEngineStop(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the engine and leave the containers running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.embedded()
			if err != nil {
				return err
			}
			return stopEngine(cmd.Context(), a, t)
		},
	}
}

func stopEngine(ctx context.Context, a *app, t launch.Target) error {
	before, err := launch.Ask(ctx, t)
	if err != nil {
		return err
	}
	was, err := launch.Stop(ctx, t)
	switch {
	case err != nil:
		return err
	case !was:
		fmt.Fprintln(a.err, "no engine runs on "+t.Root)
	case before.Containers > 0:
		fmt.Fprintf(a.err, "engine stopped; %d containers go on running (stack down stops a project)\n", before.Containers)
	default:
		fmt.Fprintln(a.err, "engine stopped")
	}
	return nil
}

func newEngineEnable(a *app) *cobra.Command {
	var printOnly bool
	cmd := &cobra.Command{
		Use:   "enable [OPTIONS]",
		Short: "Start the engine now and at every boot",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := a.embedded()
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("cannot find this program's file: %w", err)
			}
			if printOnly {
				fmt.Fprint(a.out, launch.Unit(t, program))
				return nil
			}
			if !launch.HasSystemd() {
				return errors.New("systemd does not manage this machine: let its init run this at boot:\n  " +
					strings.Join([]string{"STACK_ROOT=" + shellQuote(t.Root), "STACK_RUN=" + shellQuote(t.Run), shellQuote(program), "engine run --idle 0"}, " "))
			}
			if err := launch.Enable(cmd.Context(), t, program); err != nil {
				return err
			}
			fmt.Fprintln(a.err, "wrote "+launch.UnitPath+"; the engine runs and starts at boot")
			return nil
		},
	}
	cmd.Flags().BoolVar(&printOnly, "print", false, "Print the systemd unit and change nothing")
	return cmd
}
