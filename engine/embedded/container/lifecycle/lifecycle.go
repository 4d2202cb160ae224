// Package lifecycle decides what becomes of a container.
//
// It is a pure state machine: Next takes the state, the container's rules and what happened, and returns the new state
// and what is to be done about it. It has no clock and touches nothing; times come with the events. The caller stores
// the state and carries out the actions.
//
//	created ──Started──> running ──Exited──> exited ──Started──> running
//	                        │ └──Exited, policy──> restarting ──RestartDue: Launch──> running
//	                        └──Paused/Resumed──> paused
//	any ──RemoveAsked──> removing ──RemoveFailed──> dead
package lifecycle

import (
	"time"

	"github.com/docker/docker/api/types/container"
)

// Phase is where in its life a container is. The values are Docker's words for it.
type Phase string

const (
	Created    Phase = "created"    // never ran
	Running    Phase = "running"    // its process runs
	Paused     Phase = "paused"     // its process is frozen
	Restarting Phase = "restarting" // it exited and will be started again when the back-off is over
	Exited     Phase = "exited"     // it ran and does not any more
	Removing   Phase = "removing"   // it is being removed
	Dead       Phase = "dead"       // removing it failed; what is left can only be removed
)

// State is everything about a container that changes by itself.
type State struct {
	Phase        Phase
	Pid          int `json:",omitempty"` // of its first process, in the host's numbering; 0 unless Active
	ExitCode     int
	Error        string `json:",omitempty"` // why the latest start failed
	OOMKilled    bool   `json:",omitempty"`
	StartedAt    time.Time
	FinishedAt   time.Time
	RestartCount int           `json:",omitempty"` // automatic starts since the user's latest start
	Backoff      time.Duration `json:",omitempty"` // the wait before the latest automatic start
	Stopped      bool          `json:",omitempty"` // the user ended it: policies leave it alone until the user starts it
}

// Active reports whether the container has a process.
func (s State) Active() bool { return s.Phase == Running || s.Phase == Paused }

// Rules is what the user laid down about the end of a container.
type Rules struct {
	Restart    container.RestartPolicy
	AutoRemove bool
}

// The back-off between automatic starts doubles from the first to the longest, as Docker's. The first automatic start,
// and that of a container that ran for a while, does not wait: what fails once need not fail again.
const (
	FirstBackoff   = 100 * time.Millisecond
	LongestBackoff = time.Minute
	SteadyAfter    = 10 * time.Second
)

// UnknownExit is the exit code of a container whose end nobody saw, for example because the host went down.
const UnknownExit = 255

// Event is something that happened to a container; one of the types below.
type Event interface{ event() }

type (
	// StartAsked: the user wants it to run. Counters start anew.
	StartAsked struct{}
	// Started: its process was executed.
	Started struct {
		Pid int
		At  time.Time
	}
	// StartFailed: it could not be started. Code is 125, 126 or 127.
	StartFailed struct {
		Code  int
		Error string
		At    time.Time
	}
	// ExitSeen: its process ended.
	ExitSeen struct {
		Code int
		OOM  bool
		At   time.Time
	}
	// StopAsked: the user wants it to end.
	StopAsked struct{}
	// PauseDone: its processes were frozen.
	PauseDone struct{}
	// ResumeDone: its processes go on.
	ResumeDone struct{}
	// RestartDue: the back-off is over.
	RestartDue struct{}
	// Reopened: an engine took over from one that is gone. At is now.
	Reopened struct{ At time.Time }
	// RulesChanged: the user changed the rules, which Next was given.
	RulesChanged struct{}
	// RemoveAsked: it is going to be removed.
	RemoveAsked struct{}
	// RemoveFailed: something of it could not be removed.
	RemoveFailed struct{ Error string }
)

func (StartAsked) event()   {}
func (Started) event()      {}
func (StartFailed) event()  {}
func (ExitSeen) event()     {}
func (StopAsked) event()    {}
func (PauseDone) event()    {}
func (ResumeDone) event()   {}
func (RestartDue) event()   {}
func (Reopened) event()     {}
func (RulesChanged) event() {}
func (RemoveAsked) event()  {}
func (RemoveFailed) event() {}

// Action is something to do; one of the types below.
type Action interface{ action() }

type (
	// RestartAfter: send RestartDue when the time is over.
	RestartAfter struct{ Delay time.Duration }
	// CancelRestart: send no RestartDue any more.
	CancelRestart struct{}
	// Launch: start the process now. Answer with Started or StartFailed.
	Launch struct{}
	// Remove: remove the container.
	Remove struct{}
)

func (RestartAfter) action()  {}
func (CancelRestart) action() {}
func (Launch) action()        {}
func (Remove) action()        {}
