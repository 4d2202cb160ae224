package dockerd

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects to an address as seen from the daemon's network namespace: that is where published ports are.
func (d *Daemon) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := d.inside(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// Run starts a command in the daemon's network namespace. It sees the addresses that the daemon sees.
func (d *Daemon) Run(cmd *exec.Cmd) error { return d.inside(cmd.Start) }

// inside runs a function on a thread that is in the daemon's network namespace. Sockets that it makes stay there.
func (d *Daemon) inside(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(d.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("cannot enter dockerd's network namespace: %w", err)
			return
		}
		done <- do()
	}()
	return <-done
}
