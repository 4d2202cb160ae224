// Package rules says what is to be done when which files change: the develop.watch of the Compose specification, the on_change of
// x-stack, and the Dockerfiles that images are built from.
//
// https://github.com/compose-spec/compose-spec/blob/main/develop.md
package rules

import (
	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// Action is what a rule asks for.
type Action string

// The actions of develop.watch, and two that only on_change has.
const (
	Sync        Action = "sync"
	Rebuild     Action = "rebuild"
	Restart     Action = "restart"
	SyncRestart Action = "sync+restart"
	SyncExec    Action = "sync+exec"
	Signal      Action = "signal"
	Exec        Action = "exec"
)

// Syncs says whether files are copied.
func (a Action) Syncs() bool { return a == Sync || a == SyncRestart || a == SyncExec }

// Rule is one rule of one service. It does not change, and may be asked by several at the same time. One that is made of its
// public fields alone matches all that is below its path, but .git and the like.
type Rule struct {
	Service string
	Path    string // absolute on the host, symbolic links followed: a directory or a file, which need not be there
	Action  Action
	Target  string            // of actions that sync: absolute in the container
	Exec    types.ServiceHook // of SyncExec and Exec
	Signal  string            // of Signal, such as SIGHUP

	Include []string // as written: Docker's patterns, relative to Path; empty: everything is
	Ignore  []string // the same

	// Compare asks for a full comparison of the target when watching begins. It is off when initial_sync says false.
	Compare bool

	Place project.Position // where the rule is written

	into            bool // the target was written with a slash at its end: if Path is a file, it goes in there
	include, ignore patterns
	leftOut         patterns // of the .dockerignore
	context         string   // what these are relative to, symbolic links followed
	mounted         []string // relative to Path: what a bind mount puts at the target of these
}
