package runtime

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"stackrun.dev/stack/engine"
)

// freePort finds a port that nobody has.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// taken tells whether somebody has the port.
func taken(port uint16) bool {
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(int(port)))
	if err == nil {
		l.Close()
	}
	return err != nil
}

// TestSetPorts passes ports from one container to another, over the deaths of shims and of who had them.
func TestSetPorts(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	everywhere := PortReservation{Port: freePort(t), Proto: "tcp"}
	local := everywhere
	local.HostIP = netip.MustParseAddr("127.0.0.1")
	extra := PortReservation{Port: freePort(t), Proto: "tcp"}
	old, heir := w.container("old", "sleep", "1000"), w.container("heir", "sleep", "1000")
	old.Ports = []PortReservation{everywhere, extra}
	w.run(old)
	w.run(heir)
	set := func(ports map[string][]PortReservation) {
		t.Helper()
		for range 2 { // twice is as good as once
			must(t, w.SetPorts(ctx, ports))
		}
	}
	set(map[string][]PortReservation{"old": {extra}, "heir": {everywhere}, "nobody": {everywhere}})
	w.killShims()
	w.sh("heir", ExecConfig{}, "true") // the next shim is there
	if !taken(everywhere.Port) || !taken(extra.Port) {
		t.Error("a port is free after the shim died")
	}
	// The same port at another address cannot be bound beside the one that it replaces.
	set(map[string][]PortReservation{"old": {extra, local}, "heir": {}})
	must(t, w.Signal(ctx, "old", syscall.SIGKILL, false))
	w.awaitExit("old")
	if taken(everywhere.Port) || taken(extra.Port) {
		t.Error("a port of an exited container is taken")
	}
	set(map[string][]PortReservation{"old": {}, "heir": {everywhere, extra}})
	if !taken(everywhere.Port) || !taken(extra.Port) {
		t.Error("the heir's ports are free")
	}
	must(t, w.Signal(ctx, "heir", syscall.SIGKILL, false))
	w.awaitExit("heir")
	if taken(everywhere.Port) || taken(extra.Port) {
		t.Error("a port of the exited heir is taken")
	}
}

// TestSetPortsOfSomebodyElse finds a port taken by another program.
func TestSetPortsOfSomebodyElse(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	mine := PortReservation{Port: freePort(t), Proto: "tcp"}
	w.run(w.container("c", "sleep", "1000"))
	err = w.SetPorts(context.Background(), map[string][]PortReservation{
		"c": {{Port: uint16(l.Addr().(*net.TCPAddr).Port), Proto: "tcp"}, mine},
	})
	if !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a port of another program: %v", err)
	}
	if !taken(mine.Port) {
		t.Error("the other port was not set")
	}
}
