package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	maxUDP      = 4096            // bytes of a question or an answer over UDP that are accepted
	timeout     = 3 * time.Second // for one server
	maxInFlight = 256             // questions of one container that wait for a server
)

// upstream passes questions on.
type upstream struct {
	servers []string
	slots   chan struct{}
}

func newUpstream(servers []string) *upstream {
	return &upstream{servers: servers, slots: make(chan struct{}, maxInFlight)}
}

func parseServers(servers []string) ([]string, error) {
	var out []string
	for _, s := range servers {
		if addr, err := netip.ParseAddr(s); err == nil {
			out = append(out, net.JoinHostPort(addr.String(), "53"))
			continue
		}
		if _, err := netip.ParseAddrPort(s); err != nil {
			return nil, fmt.Errorf("%q is not the address of a name server", s)
		}
		out = append(out, s)
	}
	return out, nil
}

var (
	errBusy     = errors.New("too many questions at once")
	errNoServer = errors.New("no name server answers")
)

// ask tries one server after the other until one has an answer. What came over TCP is asked over TCP, so that a
// truncated answer can be followed up.
func (u *upstream) ask(q *dns.Msg, tcp bool) (*dns.Msg, error) {
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	default:
		return nil, errBusy
	}
	client := dns.Client{Net: "udp", Timeout: timeout, UDPSize: maxUDP}
	if tcp {
		client.Net = "tcp"
	}
	var last *dns.Msg
	for _, server := range u.servers {
		copied := q.Copy()
		copied.Id = dns.Id() // the container must not choose what the host's servers are asked with
		answer, _, err := client.Exchange(copied, server)
		if err != nil || answer == nil {
			continue
		}
		answer.Id = q.Id
		last = answer
		if answer.Rcode != dns.RcodeServerFailure && answer.Rcode != dns.RcodeRefused {
			return answer, nil
		}
	}
	if last == nil {
		return nil, errNoServer
	}
	return last, nil
}

// udpSize is how large an answer the asker takes over UDP.
func udpSize(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDP)
	}
	return dns.MinMsgSize
}
