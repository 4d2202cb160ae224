package protocol

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// ExitStatus says how a process ended.
type ExitStatus struct {
	Code      int       `json:"code"`              // as a shell shows it: 0 to 255, 128+n after signal n
	Signal    int       `json:"signal,omitempty"`  // the signal that ended it, 0 if none did
	At        time.Time `json:"at"`                // when it was noticed
	OOMKilled bool      `json:"oom,omitempty"`     // the kernel killed a process of the container for want of memory
	Unknown   bool      `json:"unknown,omitempty"` // nobody was there to see the status; Code is 255
}

// Status is the stage of a container's life.
type Status string

const (
	Created Status = "created" // its first process waits for Start
	Running Status = "running"
	Paused  Status = "paused"
	Stopped Status = "stopped"
)

// State is what a shim knows about a container.
type State struct {
	ID        string     `json:"id"`
	Pid       int        `json:"pid,omitempty"` // 0 when stopped
	Status    Status     `json:"status"`
	Exit      ExitStatus `json:"exit,omitzero"` // when stopped
	StartedAt time.Time  `json:"started,omitzero"`
	Networks  []string   `json:"networks,omitempty"` // on which it looks names up
}

// Rootfs is a root file system made of directories.
//
// With Lower and Upper it is an overlay whose changes go to Upper; Work is an empty directory on Upper's file system.
// With Lower only it cannot be written. With Upper only it is that directory itself.
type Rootfs struct {
	Lower    []string `json:"lower,omitempty"` // uppermost first
	Upper    string   `json:"upper,omitempty"`
	Work     string   `json:"work,omitempty"`
	ReadOnly bool     `json:"ro,omitempty"`
}

// LogConfig says where a container's output is kept, in the format of Docker's json-file driver.
type LogConfig struct {
	Path    string `json:"path"`
	MaxSize int64  `json:"size,omitempty"`  // bytes after which the file is rotated; 0 for never
	MaxFile int    `json:"files,omitempty"` // how many files are kept
}

// Resolver configures the name server that a container finds at 127.0.0.11.
type Resolver struct {
	Port     uint16   `json:"port"`               // where it listens inside the container's network namespace, UDP and TCP
	Servers  []string `json:"servers,omitempty"`  // where other names are asked for, "address" or "address:port", from the host
	Search   []string `json:"search,omitempty"`   // of resolv.conf, which the caller writes; not used here
	Options  []string `json:"options,omitempty"`  // of resolv.conf, likewise
	Networks []string `json:"networks,omitempty"` // IDs of the networks whose names are seen, in the order of the search
}

// PortReservation is a port of the host that belongs to a container until it exits.
type PortReservation struct {
	HostIP netip.Addr `json:"ip,omitzero"` // the zero Addr means every IPv4 address
	Port   uint16     `json:"port"`
	Proto  string     `json:"proto"` // "tcp", "udp" or "sctp"
}

// Names are the tables of the name servers, by network ID.
type Names map[string]NetworkNames

// NetworkNames is what is known about one network. Names are in lower case, without a final dot.
type NetworkNames struct {
	Hosts   map[string][]netip.Addr `json:"hosts,omitempty"`   // several addresses are given out in turns
	Reverse map[netip.Addr]string   `json:"reverse,omitempty"` // the name that an address is shown with
}

// InterfaceStats counts what passed an interface, seen from the container.
type InterfaceStats struct {
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Stats is one sample of what a container uses.
type Stats struct {
	Read       time.Time
	Cgroup     *cgroups.Stats
	Interfaces map[string]InterfaceStats // of the container's network namespace, without lo
	Unified    bool                      // cgroup version 2
}

// HelloRequest begins a connection.
type HelloRequest struct {
	Version int `json:"version"`
}

// HelloReply tells who answers and what it has. Events that happen later are delivered.
type HelloReply struct {
	Version    int     `json:"version"`
	Pid        int     `json:"pid"`
	Group      string  `json:"group"`
	Containers []State `json:"containers"`
}

// Ref names a container, and a process or an attachment of it.
type Ref struct {
	ID   string `json:"id"`
	Exec string `json:"exec,omitempty"`
}

// FileRole says what a descriptor is for.
type FileRole string

const (
	FileNetNS   FileRole = "netns"   // the network namespace to join
	FileStdin   FileRole = "stdin"   // in a request: the process's own; from Hold: the end that is written
	FileStdout  FileRole = "stdout"  // in a request: the process's own, or where to copy to; from Hold: the end that is read
	FileStderr  FileRole = "stderr"  // likewise
	FileConsole FileRole = "console" // the controlling side of the terminal
	FilePidfd   FileRole = "pidfd"   // the process
)

// HoldReply gives what keeps a container's streams and exit status alive should the shim die.
type HoldReply struct {
	Files []FileRole `json:"files"` // in the order of the descriptors
}

// AdoptRequest hands a new shim what its predecessor left.
type AdoptRequest struct {
	ID    string     `json:"id"`
	Files []FileRole `json:"files"`
}

// CreateRequest is a container.
type CreateRequest struct {
	ID          string            `json:"id"`
	Spec        *specs.Spec       `json:"spec"`
	Rootfs      Rootfs            `json:"rootfs"`
	Terminal    bool              `json:"tty,omitempty"`
	ConsoleSize [2]uint           `json:"size"` // height, width
	OpenStdin   bool              `json:"open,omitempty"`
	Log         *LogConfig        `json:"log,omitempty"`
	Resolver    *Resolver         `json:"resolver,omitempty"`
	Ports       []PortReservation `json:"ports,omitempty"`
	User        string            `json:"user,omitempty"`
	GroupAdd    []string          `json:"groups,omitempty"`
	Init        bool              `json:"init,omitempty"`

	// Bound containers have the request's files as their streams and are killed and deleted when the connection ends.
	Bound bool       `json:"bound,omitempty"`
	Files []FileRole `json:"files,omitempty"`
}

// CreateReply tells of a created container. The files are those of Hold.
type CreateReply struct {
	Pid   int        `json:"pid"`
	Files []FileRole `json:"files"`
}

// SignalRequest sends a signal to a container's first process, to all of its processes, or to an exec's process.
type SignalRequest struct {
	Ref
	Signal int  `json:"signal"`
	All    bool `json:"all,omitempty"`
}

// ExecRequest runs a further process. Its files are the process's streams; with Tty there are none.
type ExecRequest struct {
	Ref
	Args       []string   `json:"args"`
	Env        []string   `json:"env,omitempty"`
	Cwd        string     `json:"cwd,omitempty"`
	User       string     `json:"user,omitempty"`
	Tty        bool       `json:"tty,omitempty"`
	Size       [2]uint    `json:"size"` // height, width
	Privileged bool       `json:"privileged,omitempty"`
	Files      []FileRole `json:"files,omitempty"`
}

// ExecReply tells of a process that was executed. The files are FilePidfd and, with a terminal, FileConsole.
type ExecReply struct {
	Pid   int        `json:"pid"`
	Files []FileRole `json:"files"`
}

// AttachRequest copies a container's output from now on to the request's files. Ref.Exec names the attachment in events.
type AttachRequest struct {
	Ref
	Lossless bool       `json:"lossless,omitempty"` // the container waits for the reader
	Files    []FileRole `json:"files"`
}

// PidsReply lists processes as the host numbers them.
type PidsReply struct {
	Pids []int `json:"pids"`
}

// UpdateRequest changes limits.
type UpdateRequest struct {
	ID        string                `json:"id"`
	Resources *specs.LinuxResources `json:"resources"`
}

// NetworksRequest changes where a container looks names up.
type NetworksRequest struct {
	ID       string   `json:"id"`
	Networks []string `json:"networks"`
}

// PortsRequest says which ports of the host belong to which containers from now on.
type PortsRequest struct {
	Ports map[string][]PortReservation `json:"ports"` // by container ID
}

// Exit tells of a process that ended.
type Exit struct {
	Ref
	Status ExitStatus `json:"status"`
}

// Encode makes a message's body.
func Encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	return json.Marshal(v)
}
