// Command stack runs Compose projects, on an engine of its own or on any that speaks the Docker Engine API.
//
// Each command is one file, which declares its flags and says what to do in terms of the packages that know how: project
// loads, convergence plans and executes, launch finds the engine, view shows. What the commands share is here and
// in root.go (the process: streams, environment, flags), exit.go (errors and exit codes), session.go (an engine and a
// project) and members.go (a project's containers).
package main

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/project"
)

// version is set by the linker.
var version = "dev"

// gcPercent lets the heap of a command grow to some 30 MB before it is collected for the first time: most commands end
// earlier.
const gcPercent = 800

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	logrus.SetOutput(io.Discard) // what libraries log is for the engine's log, see engine.go; commands report errors themselves
	os.Exit(run(context.Background(), os.Args[1:], process(openEmbedded)))
}

// lasts makes the heap of a command small that stays: it is idle most of the time.
func (a *app) lasts() {
	if a.getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

// app is what every command gets: the process's streams, environment and clock, and the global flags.
type app struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
	workDir string      // where relative paths of the command line start; empty: the process's
	fetched addressList // where files of the project came from
	getenv  func(string) string
	now     func() time.Time

	global globalFlags
	advice []project.Warning // given so far, where it is printed at the end
	loaded map[string]string // the variables of the project that was loaded, nil before
	open   launch.Opener     // how "engine run" opens the engine; nil if another program has to

	commandLine string       // what runs, as others who wait for it are told
	sharedLocks launch.Locks // of engines that others use too; none: only the user's own
}

// another is an app like this one that has loaded nothing yet, for whoever loads beside it.
func (a *app) another() *app {
	return &app{
		in: a.in, out: a.out, err: a.err, environ: a.environ, workDir: a.workDir, getenv: a.getenv, now: a.now,
		global: a.global, commandLine: a.commandLine, sharedLocks: a.sharedLocks,
	}
}

// process is the app of this process.
func process(open launch.Opener) *app {
	return &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		environ: os.Environ(), getenv: withEnvFile(os.Getenv), now: time.Now,
		open: open, sharedLocks: launch.SharedLocks,
	}
}
