package embedded

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// repicks is how often host ports that the engine chose are chosen anew because another program was faster.
const repicks = 16

// create makes the process. What an earlier engine has left of it gives way. Host ports that the engine was free to choose, and that a program of the host turns out to
// have, are chosen again.
func (a *attempt) create(ctx context.Context, c runtime.Container) (int, error) {
	for try := 0; ; try++ {
		c.Ports = a.reservations()
		pid, err := a.engine.runtime.Create(ctx, c)
		if err == nil || try == repicks || !errors.Is(err, engine.ErrConflict) {
			return pid, err
		}
		if again, failed := a.yield(ctx); failed != nil || !again {
			return 0, cmp.Or(failed, err)
		}
	}
}

// yield gets out of the way of what the process was in conflict with, and reports whether there is reason to try again:
// a process of an earlier engine, or ports that were chosen and can be chosen anew.
func (a *attempt) yield(ctx context.Context) (again bool, err error) {
	if _, inherited := a.engine.inherited.LoadAndDelete(a.record.ID); inherited {
		return true, a.engine.clear(ctx, a.record.ID)
	}
	return a.repickTaken()
}

func (a *attempt) reservations() []runtime.PortReservation {
	if a.sandbox == nil {
		return nil
	}
	return portReservations(a.sandbox.Reservations())
}

// repickTaken replaces the chosen ports that somebody has and reports whether there were any.
func (a *attempt) repickTaken() (changed bool, err error) {
	if a.sandbox == nil {
		return false, nil
	}
	for _, p := range a.sandbox.Reservations() {
		if !p.Chosen || isFree(p) {
			continue
		}
		if _, err := a.engine.networks.Repick(a.record.ID, p); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

// isFree tries to take the port and gives it back.
func isFree(p network.Reservation) bool {
	ip := p.HostIP
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	address := net.JoinHostPort(ip.String(), strconv.Itoa(int(p.Port)))
	version := "6"
	if ip.Unmap().Is4() {
		version = "4"
	}
	switch p.Proto {
	case "tcp":
		l, err := net.Listen("tcp"+version, address)
		return err == nil && l.Close() == nil
	case "udp":
		l, err := net.ListenPacket("udp"+version, address)
		return err == nil && l.Close() == nil
	default:
		return true // cannot be tried from here
	}
}
