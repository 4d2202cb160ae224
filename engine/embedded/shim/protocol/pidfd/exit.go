package pidfd

import (
	"syscall"
	"time"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Exit translates what Wait returned.
func Exit(status syscall.WaitStatus, err error) protocol.ExitStatus {
	e := protocol.ExitStatus{At: time.Now().UTC()}
	switch {
	case err != nil:
		e.Code, e.Unknown = 255, true
	case status.Signaled():
		e.Signal = int(status.Signal())
		e.Code = 128 + e.Signal
	default:
		e.Code = status.ExitStatus()
	}
	return e
}
