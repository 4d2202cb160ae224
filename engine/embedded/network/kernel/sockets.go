package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Connections are those of the TCP servers in a namespace to clients outside of it.
type Connections struct {
	Waiting int // not accepted yet, or not even established
	Open    int // accepted and not over, those that still wait in a server's queue included
}

// Connections counts the connections in the namespace.
func (l *Linux) Connections(name string) (Connections, error) {
	var all []socket
	err := l.inNamespace(name, func(*rtnetlink, *os.File) error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			some, err := sockets(family)
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	})
	if err != nil {
		return Connections{}, err
	}
	return count(all), nil
}

func count(all []socket) Connections {
	var c Connections
	served := map[uint16]bool{}
	for _, s := range all {
		if s.state == unix.BPF_TCP_LISTEN {
			served[s.port] = true
			c.Waiting += int(s.queue)
		}
	}
	for _, s := range all {
		switch {
		case !served[s.port] || s.peer.IsLoopback():
		case s.state == unix.BPF_TCP_SYN_RECV:
			c.Waiting++
		case s.state != unix.BPF_TCP_LISTEN:
			c.Open++
		}
	}
	return c
}

// socket is a TCP socket as the kernel's sock_diag describes it.
type socket struct {
	state uint8
	port  uint16 // its own
	peer  netip.Addr
	queue uint32 // of one that listens: how many wait to be accepted
}

// diagRequest is struct inet_diag_req_v2 of linux/inet_diag.h.
type diagRequest struct {
	family uint8
	states uint32 // a bit for each
}

func (r diagRequest) Len() int { return 56 }

func (r diagRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], r.states)
	return b
}

// sockets lists the TCP sockets of the calling thread's namespace that servers have.
func sockets(family uint8) ([]socket, error) {
	r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	r.AddData(diagRequest{family, 1<<unix.BPF_TCP_LISTEN | 1<<unix.BPF_TCP_SYN_RECV | 1<<unix.BPF_TCP_ESTABLISHED | 1<<unix.BPF_TCP_CLOSE_WAIT})
	messages, err := r.Execute(unix.NETLINK_INET_DIAG, 0)
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	var list []socket
	for _, m := range messages {
		if len(m) < 72 { // struct inet_diag_msg
			return nil, fmt.Errorf("list sockets: a description of %d bytes", len(m))
		}
		peer := netip.AddrFrom16([16]byte(m[24:40])).Unmap()
		if family == unix.AF_INET {
			peer = netip.AddrFrom4([4]byte(m[24:28]))
		}
		list = append(list, socket{
			state: m[1], port: binary.BigEndian.Uint16(m[4:]), peer: peer, queue: binary.NativeEndian.Uint32(m[56:]),
		})
	}
	return list, nil
}
