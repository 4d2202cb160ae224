package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

// The exit codes. Those from 14 on are Compose's. A command that runs another one (exec, run, up --exit-code-from)
// passes that one's code through.
const (
	exitFailure     = 1   // it did not work
	exitChanges     = 2   // plan: there is something to do; lint: there are findings
	exitNoFile      = 14  // there is no Compose file
	exitBadProject  = 15  // a Compose file has a mistake
	exitUsage       = 16  // the command line has a mistake
	exitBuild       = 17  // a build failed
	exitPull        = 18  // a pull failed
	exitInterrupted = 130 // Ctrl-C
)

// exitCode ends the program with a code and without a message: everything was said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// buildError and pullError mark what has an exit code of its own.
type (
	buildError struct{ error }
	pullError  struct{ error }
)

func (e buildError) Unwrap() error { return e.error }
func (e pullError) Unwrap() error  { return e.error }

// orCause says why the context ended, if the error is only that it did.
func orCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cause) {
		return cause
	}
	return err
}

// untilInterrupted is the end of a command that goes on until it is interrupted: that is no mistake to speak of.
func untilInterrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return exitCode(exitInterrupted)
	}
	return err
}

// codeOf maps an error to the exit code.
func codeOf(ctx context.Context, err error) int {
	var code exitCode
	var usage usageError
	var mistakes project.Errors
	var mistake *project.Error
	var coded codedError
	var build buildError
	var pull pullError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &coded):
		return coded.code
	case ctx.Err() != nil: // whatever failed afterwards failed because of that
		return exitInterrupted
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, project.ErrNoFile):
		return exitNoFile
	case errors.As(err, &mistakes), errors.As(err, &mistake):
		return exitBadProject
	case errors.As(err, &build):
		return exitBuild
	case errors.As(err, &pull):
		return exitPull
	}
	return exitFailure
}

// kindOf names the kind of an error for programs.
func kindOf(code int, err error) string {
	switch code {
	case exitInterrupted:
		return "interrupted"
	case exitUsage:
		return "usage"
	case exitNoFile:
		return "no compose file"
	case exitBadProject:
		return "invalid project"
	case exitBuild:
		return "build failed"
	case exitPull:
		return "pull failed"
	}
	for _, k := range []struct {
		kind error
		name string
	}{
		{engine.ErrNotFound, "not found"}, {engine.ErrConflict, "conflict"}, {engine.ErrInvalid, "invalid"},
		{engine.ErrUnsupported, "unsupported"}, {engine.ErrForbidden, "forbidden"}, {engine.ErrUnavailable, "unavailable"},
	} {
		if errors.Is(err, k.kind) {
			return k.name
		}
	}
	return "failure"
}

// report prints the error, once, and returns the exit code.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	code := codeOf(ctx, err)
	var silent exitCode
	if err == nil || errors.As(err, &silent) {
		if len(a.advice) > 0 {
			view.Complaints(a.err, nil, a.advice)
		}
		return code
	}
	if code == exitFailure && strings.HasPrefix(err.Error(), "unknown command ") {
		code = exitUsage // cobra's own
	}
	exit := exitOf(cmd, code)
	list := problems(code, err)
	for i := range list {
		list[i].ExitCode = exit
	}
	if formatOf(cmd) == "json" {
		view.Complaints(a.err, list, a.advice)
		return exit
	}
	style, _ := view.NewStyle(a.global.ansi, a.err, a.getenv)
	view.Problems(a.err, style, list)
	if code == exitUsage {
		fmt.Fprintf(a.err, "See '%s --help'.\n", cmd.CommandPath())
	}
	return exit
}

// oneFailure marks commands of which every failure has the same exit code, because 2 is an answer of theirs and scripts tell only
// that from failures.
const oneFailure = "one exit code for all failures"

// exitOf is the exit code of the command where a failure has the code.
func exitOf(cmd *cobra.Command, code int) int {
	if _, one := cmd.Annotations[oneFailure]; one && code != exitInterrupted {
		return exitFailure
	}
	return code
}

// warn prints advice. Where errors are JSON it comes with them, at the end.
func (a *app) warn(warnings []project.Warning) error {
	style, err := a.style(a.err)
	if err != nil {
		return err
	}
	if a.global.json {
		a.advice = append(a.advice, warnings...)
		return nil
	}
	for _, w := range warnings {
		view.Warn(a.err, style, w.String())
	}
	return nil
}

// formatOf is the command's --format, which errors follow too.
func formatOf(cmd *cobra.Command) string {
	if f := cmd.Flags().Lookup("format"); f != nil {
		return f.Value.String()
	}
	return ""
}

func problems(code int, err error) []view.Problem {
	var mistakes project.Errors
	if errors.As(err, &mistakes) {
		var out []view.Problem
		for _, m := range mistakes {
			out = append(out, problemAt(code, m))
		}
		return out
	}
	var mistake *project.Error
	if errors.As(err, &mistake) {
		return []view.Problem{problemAt(code, mistake)}
	}
	text := message(code, err)
	return []view.Problem{{Kind: kindOf(code, err), Message: text, ExitCode: code, Error: &project.Error{Problem: text}}}
}

func problemAt(code int, m *project.Error) view.Problem {
	return view.Problem{Kind: kindOf(code, m), Message: m.Error(), ExitCode: code, Error: m}
}

// message adds advice where the cause alone does not say what to do.
func message(code int, err error) string {
	text := err.Error()
	switch {
	case code == exitInterrupted:
		return "interrupted"
	case errors.Is(err, syscall.ENOSPC):
		return text + "\n  the disk is full: free some space and run the same command again"
	case errors.Is(err, fs.ErrPermission) && !errors.Is(err, engine.ErrForbidden):
		return text + "\n  check who owns it, or run stack as root"
	}
	return text
}
