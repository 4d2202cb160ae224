package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Address is where containers find the server. Port 53 is redirected to the one that it listens on.
var Address = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// Server answers the questions of one container.
type Server struct {
	table    *Table
	upstream *upstream
	networks atomic.Pointer[[]string]
	udp      *net.UDPConn
	tcp      *net.TCPListener
	slots    chan struct{} // connections and questions that are under way
}

const (
	maxQuestion = 1500             // bytes of a question over UDP; there are no longer ones
	maxUnderWay = 256              // of one container
	patience    = 10 * time.Second // for the next question on a connection
)

// Start opens sockets in the network namespace and answers on them. Questions that it passes on go out from the
// caller's own namespace.
func Start(netns *os.File, table *Table, r *protocol.Resolver) (*Server, error) {
	servers, err := parseServers(r.Servers)
	if err != nil {
		return nil, err
	}
	s := &Server{table: table, upstream: &upstream{servers: servers}, slots: make(chan struct{}, maxUnderWay)}
	s.SetNetworks(r.Networks)
	s.udp, s.tcp, err = listenIn(netns, netip.AddrPortFrom(Address, r.Port))
	if err != nil {
		return nil, fmt.Errorf("cannot start the name server: %w", err)
	}
	go s.serveUDP()
	go s.serveTCP()
	return s, nil
}

// Close stops answering.
func (s *Server) Close() {
	s.udp.Close()
	s.tcp.Close()
}

// SetNetworks changes on which networks names are looked up, in that order.
func (s *Server) SetNetworks(networks []string) { s.networks.Store(&networks) }

// Networks are the networks on which names are looked up.
func (s *Server) Networks() []string { return *s.networks.Load() }

// serveUDP answers at once what is known, and asks for the rest meanwhile.
func (s *Server) serveUDP() {
	buf := make([]byte, maxQuestion)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP message about an earlier answer
		}
		q, ok := parseQuestion(buf[:n])
		if !ok {
			continue
		}
		reply := func(answer []byte) { _, _ = s.udp.WriteToUDPAddrPort(answer, from) } // who asked may be gone
		if answer := s.local(q, q.udpSize); answer != nil {
			reply(answer)
			continue
		}
		raw := slices.Clone(buf[:n])
		s.limited(func() { reply(s.ask(raw, q, "udp")) })
	}
}

// limited runs do in the background, unless too much is under way already. Then the question is dropped, as UDP may.
func (s *Server) limited(do func()) {
	select {
	case s.slots <- struct{}{}:
		go func() {
			defer func() { <-s.slots }()
			do()
		}()
	default:
	}
}

func (s *Server) serveTCP() {
	for {
		conn, err := s.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		select {
		case s.slots <- struct{}{}:
			go func() {
				defer func() { <-s.slots }()
				defer conn.Close()
				s.serveConn(conn)
			}()
		default:
			conn.Close()
		}
	}
}

func (s *Server) serveConn(conn net.Conn) {
	for {
		if conn.SetDeadline(time.Now().Add(patience)) != nil {
			return
		}
		raw, err := readFrame(conn)
		if err != nil {
			return
		}
		q, ok := parseQuestion(raw)
		if !ok {
			return
		}
		answer := s.local(q, maxFrame)
		if answer == nil {
			answer = s.ask(raw, q, "tcp")
		}
		if writeFrame(conn, answer) != nil {
			return
		}
	}
}

// ask has another server answer. What came over TCP is asked over TCP, so that a cut answer can be followed up.
func (s *Server) ask(raw []byte, q question, network string) []byte {
	if !q.plain {
		return failure(q, dnsmessage.RCodeNotImplemented)
	}
	answer, err := s.upstream.ask(raw, q, network)
	if err != nil {
		return failure(q, dnsmessage.RCodeServerFailure)
	}
	if network == "udp" && len(answer) > q.udpSize {
		return cut(answer, q)
	}
	return answer
}

// listenIn opens sockets in another network namespace. It does so on a thread of its own, which ends if it cannot get
// back.
func listenIn(netns *os.File, addr netip.AddrPort) (*net.UDPConn, *net.TCPListener, error) {
	type result struct {
		packets  *net.UDPConn
		listener *net.TCPListener
		err      error
	}
	done := make(chan result)
	go func() {
		var r result
		r.err = inNamespace(netns, func() (err error) {
			if r.packets, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr)); err != nil {
				return err
			}
			if r.listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(addr)); err != nil {
				r.packets.Close()
			}
			return err
		})
		done <- r
	}()
	r := <-done
	return r.packets, r.listener, r.err
}

func inNamespace(netns *os.File, do func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return os.NewSyscallError("setns", err)
	}
	err = do()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, os.NewSyscallError("setns", back)) // still locked: the thread ends with the goroutine
	}
	runtime.UnlockOSThread()
	return err
}
