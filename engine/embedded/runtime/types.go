package runtime

import (
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// Options say where a Runtime works and whom it tells.
type Options struct {
	RunDir   string // sockets, pipes and records of what runs; made if missing, mode 0700
	StateDir string // caches that outlive a reboot, such as compiled seccomp filters; made if missing, mode 0700

	// OnEvent, if not nil, is told what happens to containers, one event at a time and in order. The containers' own
	// calls may be made from it, but a call made from it that waits for a further event would wait forever.
	OnEvent func(Event)
}

// EventKind says what happened.
type EventKind string

const (
	Exited     EventKind = "exited"      // the container's first process ended; its output is written, its log flushed
	ExecExited EventKind = "exec-exited" // a process that Exec started ended
	OOM        EventKind = "oom"         // the kernel killed a process of the container for want of memory; precedes Exited
)

// Event is something that happened to a container without being asked for.
type Event struct {
	Kind   EventKind
	ID     string // the container
	ExecID string // with ExecExited
	Status ExitStatus
}

// ExitStatus says how a process ended.
type ExitStatus struct {
	Code      int       // as a shell shows it: 0 to 255, 128+n after signal n
	Signal    int       // the signal that ended it, 0 if none did
	At        time.Time // when it was noticed
	OOMKilled bool      // the kernel killed a process of the container for want of memory
	Unknown   bool      // nobody was there to see the status; Code is 255
}

// Status is the stage of a container's life.
type Status string

const (
	Created Status = "created"
	Running Status = "running"
	Paused  Status = "paused"
	Stopped Status = "stopped"
)

// State is what List knows about a container.
type State struct {
	ID, Group string
	Pid       int // 0 when stopped
	Status    Status
	Exit      ExitStatus // when stopped
	StartedAt time.Time  // zero if it never was
}

// Rootfs is a root file system made of directories.
//
// With Lower and Upper it is an overlay whose changes go to Upper; Work is an empty directory on Upper's file system.
// With Lower only it cannot be written. With Upper only it is that directory itself.
type Rootfs struct {
	Lower       []string // uppermost first
	Upper, Work string
	ReadOnly    bool
}

// LogConfig says where the container's output is kept, in the format of Docker's json-file driver.
type LogConfig struct {
	Path    string
	MaxSize int64 // bytes after which the file is rotated; 0 for never
	MaxFile int   // how many files are kept
}

// Resolver configures the name server that the container finds at 127.0.0.11.
type Resolver struct {
	Port     uint16   // where it listens inside the container's network namespace, UDP and TCP, address 127.0.0.11
	Servers  []string // where other names are asked for, "address" or "address:port", from the host's namespace
	Search   []string // written to resolv.conf by the caller; suffixes that the resolver may strip from known names
	Options  []string // written to resolv.conf by the caller
	Networks []string // IDs of the networks whose names the container sees, in the order in which they are searched
}

// PortReservation is a port of the host that belongs to the container while its record exists.
type PortReservation struct {
	HostIP netip.Addr // the zero Addr means every IPv4 address
	Port   uint16
	Proto  string // "tcp", "udp" or "sctp"
}

// Container is what Create makes. Spec.Root.Path and the path of the network namespace are filled in by the shim.
type Container struct {
	ID    string // hexadecimal digits or what else libcontainer allows: letters, digits, "_", "+", "-", "."
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
	// 1 MiB behind, and Attach returns an error. It is of no meaning to Exec, where the process always waits.
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
	Privileged bool    // all capabilities, no seccomp filter
	Detach     bool    // Exec returns when the command was executed; its output is dropped
}

// Names are the tables of the name servers, by network ID.
type Names map[string]NetworkNames

// NetworkNames is what is known about one network. Names are in lower case, without a final dot.
type NetworkNames struct {
	Hosts   map[string][]netip.Addr // several addresses are given out in turns
	Reverse map[netip.Addr]string   // the name that an address is shown with
}

// Stats is one sample of what a container uses.
type Stats struct {
	Read       time.Time
	Cgroup     *cgroups.Stats
	Interfaces map[string]InterfaceStats // of the container's network namespace, without lo
	Unified    bool                      // cgroup version 2
}

// InterfaceStats counts what passed an interface, seen from the container.
type InterfaceStats struct {
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// StartError says that a command could not be executed. Its kind is engine.ErrInvalid.
type StartError struct {
	Code int // as Docker's: 126 it cannot be executed, 127 it is not there, 125 something else
	Text string
}

func (e *StartError) Error() string { return e.Text }

// Unwrap gives the error its kind.
func (e *StartError) Unwrap() error { return engine.ErrInvalid }
