package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Address is where containers find the server. Port 53 is redirected to the one that it listens on.
var Address = netip.AddrFrom4([4]byte{127, 0, 0, 11})

// ttl is how long, in seconds, an answer about a container holds. Containers come and go.
const ttl = 5

// Server answers the questions of one container.
type Server struct {
	table    *Table
	upstream *upstream
	networks atomic.Pointer[[]string]
	udp, tcp *dns.Server
}

// Start opens sockets in the network namespace and answers on them. Questions that it passes on go out from the
// caller's own namespace.
func Start(netns *os.File, table *Table, r *protocol.Resolver) (*Server, error) {
	servers, err := parseServers(r.Servers)
	if err != nil {
		return nil, err
	}
	s := &Server{table: table, upstream: newUpstream(servers)}
	s.SetNetworks(r.Networks)
	packets, listener, err := listenIn(netns, netip.AddrPortFrom(Address, r.Port))
	if err != nil {
		return nil, fmt.Errorf("cannot start the name server: %w", err)
	}
	s.udp = &dns.Server{PacketConn: packets, Handler: s, UDPSize: maxUDP}
	s.tcp = &dns.Server{Listener: listener, Handler: s, MaxTCPQueries: -1}
	for _, server := range []*dns.Server{s.udp, s.tcp} {
		go func() { _ = server.ActivateAndServe() }() // ends with Close, or with the namespace
	}
	return s, nil
}

// Close stops answering.
func (s *Server) Close() {
	s.udp.PacketConn.Close()
	s.tcp.Listener.Close()
}

// SetNetworks changes on which networks names are looked up, in that order.
func (s *Server) SetNetworks(networks []string) { s.networks.Store(&networks) }

// Networks are the networks on which names are looked up.
func (s *Server) Networks() []string { return *s.networks.Load() }

// listenIn opens sockets in another network namespace. It does so on a thread of its own, which ends if it cannot get
// back.
func listenIn(netns *os.File, addr netip.AddrPort) (net.PacketConn, net.Listener, error) {
	type result struct {
		packets  net.PacketConn
		listener net.Listener
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

// ServeDNS answers one question.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	answer := s.answer(q, w.RemoteAddr().Network() == "tcp")
	if answer == nil {
		return
	}
	if w.RemoteAddr().Network() == "udp" {
		answer.Truncate(udpSize(q))
	}
	_ = w.WriteMsg(answer) // who asked may be gone
}

func (s *Server) answer(q *dns.Msg, tcp bool) *dns.Msg {
	if q.Response {
		return nil
	}
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		return new(dns.Msg).SetRcode(q, dns.RcodeNotImplemented)
	}
	if q.Question[0].Qclass == dns.ClassINET {
		if records, known := s.local(q.Question[0]); known {
			a := new(dns.Msg).SetReply(q)
			a.RecursionAvailable = true
			a.Answer = records
			return a
		}
	}
	a, err := s.upstream.ask(q, tcp)
	if err != nil {
		a = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
		a.RecursionAvailable = true
	}
	return a
}

// local answers from the table. A known name without a record of the type asked for has no records.
func (s *Server) local(q dns.Question) (records []dns.RR, known bool) {
	networks := s.Networks()
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET, Ttl: ttl}
	if q.Qtype == dns.TypePTR {
		addr, ok := reverseAddr(q.Name)
		if !ok {
			return nil, false
		}
		name, ok := s.table.Name(networks, addr)
		if !ok {
			return nil, false
		}
		return []dns.RR{&dns.PTR{Hdr: header, Ptr: dns.Fqdn(name)}}, true
	}
	addrs, known := s.table.Addresses(networks, strings.ToLower(strings.TrimSuffix(q.Name, ".")))
	for _, addr := range addrs {
		switch {
		case q.Qtype == dns.TypeA && addr.Is4():
			records = append(records, &dns.A{Hdr: header, A: addr.AsSlice()})
		case q.Qtype == dns.TypeAAAA && addr.Is6():
			records = append(records, &dns.AAAA{Hdr: header, AAAA: addr.AsSlice()})
		}
	}
	return records, known
}

// reverseAddr reads an address out of a name below in-addr.arpa.
func reverseAddr(name string) (netip.Addr, bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(name), ".in-addr.arpa.")
	labels := strings.Split(rest, ".")
	if !ok || len(labels) != 4 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
	return addr, err == nil
}
