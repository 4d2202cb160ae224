package protocol

import (
	"encoding/json"
	"fmt"
)

// Message is one frame: a request, a reply or an event.
type Message struct {
	Number uint64          `json:"n,omitempty"` // of the request and its reply; 0 for an event
	Method Method          `json:"m,omitempty"` // empty in a reply
	Body   json.RawMessage `json:"b,omitempty"`
	Error  *Error          `json:"e,omitempty"` // in a reply, when the request failed
}

// Method names a request or an event.
type Method string

// Requests, with the types of their bodies, replies and files.
const (
	MethodHello       Method = "hello"        // HelloRequest -> HelloReply
	MethodHold        Method = "hold"         // Ref -> HoldReply with files
	MethodAdopt       Method = "adopt"        // AdoptRequest with files -> State
	MethodCreate      Method = "create"       // CreateRequest with files -> CreateReply with files
	MethodStart       Method = "start"        // Ref
	MethodSignal      Method = "signal"       // SignalRequest
	MethodPause       Method = "pause"        // Ref
	MethodResume      Method = "resume"       // Ref
	MethodDelete      Method = "delete"       // Ref
	MethodExec        Method = "exec"         // ExecRequest with files -> ExecReply with files
	MethodAttach      Method = "attach"       // AttachRequest with files
	MethodCloseStdin  Method = "close-stdin"  // Ref
	MethodStats       Method = "stats"        // Ref -> Stats
	MethodPids        Method = "pids"         // Ref -> PidsReply
	MethodUpdate      Method = "update"       // UpdateRequest
	MethodSetNames    Method = "set-names"    // Names
	MethodSetNetworks Method = "set-networks" // NetworksRequest
	MethodSetPorts    Method = "set-ports"    // PortsRequest
)

// Events.
const (
	EventExited     Method = "exited"      // Exit
	EventExecExited Method = "exec-exited" // Exit
	EventOOM        Method = "oom"         // Ref
	EventCutOff     Method = "cut-off"     // Ref, its Exec is the Attach: the client did not read
)

// ErrorKind says what sort of failure an Error is.
type ErrorKind string

const (
	NotFound ErrorKind = "not-found"
	Conflict ErrorKind = "conflict"
	Invalid  ErrorKind = "invalid"
	NoStart  ErrorKind = "no-start" // the command could not be executed; Code is 125 to 127
	Missing  ErrorKind = "unsupported"
	Internal ErrorKind = "internal"
)

// Error is a failure that the other side is told of.
type Error struct {
	Kind ErrorKind `json:"kind"`
	Code int       `json:"code,omitempty"`
	Text string    `json:"text"`
}

func (e *Error) Error() string { return e.Text }

// Errorf makes an Error.
func Errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Errorf(format, args...).Error()}
}
