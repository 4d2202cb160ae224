package runtime

import (
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// The types that the shim shares.
type (
	ExitStatus      = protocol.ExitStatus
	Status          = protocol.Status
	Rootfs          = protocol.Rootfs
	LogConfig       = protocol.LogConfig
	Resolver        = protocol.Resolver
	PortReservation = protocol.PortReservation
	Names           = protocol.Names
	NetworkNames    = protocol.NetworkNames
	Stats           = protocol.Stats
	InterfaceStats  = protocol.InterfaceStats
)

// The stages of a container's life.
const (
	Created = protocol.Created
	Running = protocol.Running
	Paused  = protocol.Paused
	Stopped = protocol.Stopped
)

// Options say where a Runtime works and whom it tells.
type Options struct {
	RunDir   string // sockets, pipes and records of what runs; made if missing, mode 0700
	StateDir string // caches that outlive a reboot, such as compiled seccomp filters; made if missing, mode 0700

	// OnEvent, if not nil, is told what happens to containers, one event at a time and in order. It may make calls, but
	// a call that waits for a further event would wait forever.
	OnEvent func(Event)
}

// EventKind says what happened.
type EventKind string

const (
	Exited     EventKind = "exited"      // the container's first process ended; its output is in the log
	ExecExited EventKind = "exec-exited" // a process that Exec started ended
	OOM        EventKind = "oom"         // the kernel killed a process of the container for want of memory; precedes Exited
)

// Event is something that happened to a container without being asked for. What Start refused to execute causes none.
type Event struct {
	Kind   EventKind
	ID     string // the container
	ExecID string // with ExecExited
	Status ExitStatus
}

// State is what List knows about a container.
type State struct {
	Group string
	protocol.State
}

// Container is what Create makes. Spec.Root.Path and the path of the network namespace are filled in by the shim.
type Container struct {
	ID    string // letters, digits, "_", "+", "-" and "."
	Group string // containers of one group share a shim

	Spec   *specs.Spec
	Rootfs Rootfs

	// Terminal gives the process a terminal of ConsoleSize characters (height, width, as Docker orders them).
	Terminal    bool
	ConsoleSize [2]uint

	OpenStdin bool // the process has a standard input that Attach can write to; otherwise it reads /dev/null
	StdinOnce bool // standard input is closed when the first attached client closes its own

	Log      *LogConfig // nil: output is not kept
	NetNS    *os.File   // nil: as Spec says. Create does not close it.
	Resolver *Resolver  // nil: no name server
	Ports    []PortReservation

	// User is Docker's Config.User: "user", "user:group", names or numbers, looked up in the root file system's
	// /etc/passwd and /etc/group. Empty: Spec.Process.User holds.
	User     string
	GroupAdd []string // further groups, by name or number

	Init bool // a small process is PID 1, which forwards signals and reaps orphans, and the command is its child
}

// Streams connects a process to the caller. A nil stream is not connected. None of them is closed.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer // a terminal has Stdout only

	// Attached, if not nil, is called once, when what the process writes from then on will arrive.
	Attached func()

	// Lossless makes the container wait for a client that does not read. Otherwise such a client is cut off when it is
	// about 1 MiB behind, and Attach returns an error. It is of no meaning to Exec, where the process always waits.
	Lossless bool
}

// ExecConfig is a further process in a running container.
type ExecConfig struct {
	ExecID     string // names the process in Resize, SignalExec and events
	Args       []string
	Env        []string // added to the container's own; a later value replaces an earlier one
	Cwd        string   // "": the container's
	User       string   // as Container.User; "": the container's
	Tty        bool
	Size       [2]uint // of the terminal: height, width
	Privileged bool    // all capabilities; the seccomp filter stays
	Detach     bool    // Exec returns when the command was executed; its output is dropped
	DetachKeys []byte  // with Tty: typed, they make Exec return ErrDetached
}

// StartError says that a command could not be executed. Its kind is engine.ErrInvalid.
type StartError struct {
	Code int // as Docker's: 126 it cannot be executed, 127 it is not there, 125 something else
	Text string
}

func (e *StartError) Error() string { return e.Text }

// Unwrap gives the error its kind.
func (e *StartError) Unwrap() error { return engine.ErrInvalid }

// ErrDetached is what Attach and Exec return when the user typed the detach keys.
var ErrDetached = engine.Errorf(engine.ErrConflict, "detached")
