package shim

import (
	"os"
	"os/signal"
	"syscall"
)

// heedSignals makes the signals that the engine ignores, or whoever started it (nohup), count again in containers: in a
// program that is executed a handled signal is back at its default, and an ignored one is not.
func heedSignals() {
	unwanted := make(chan os.Signal, 1)
	for sig := syscall.SIGHUP; sig <= syscall.SIGSYS; sig++ {
		if signal.Ignored(sig) {
			signal.Notify(unwanted, sig)
		}
	}
}
