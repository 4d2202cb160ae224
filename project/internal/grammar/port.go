package grammar

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Ports is the short form of a port taken apart.
type Ports struct {
	IP       string // without brackets; "" for all addresses
	Host     Range  // zero: none, the engine chooses
	Target   Range
	Protocol string // "tcp" if none is written
}

// Range is from First to Last, both included.
type Range struct{ First, Last int }

func (r Range) len() int { return r.Last - r.First + 1 }

const (
	lastPort   = 65535
	portAdvice = `write "8080:80" or "127.0.0.1:8080:80/tcp"`
)

// free is the published port that leaves it to the engine, like none.
const free = "0"

var protocols = []string{"tcp", "udp", "sctp"}

// Port checks [[address:]host:]container[/protocol]; host and container may be ranges.
func Port(text string) *Fault {
	_, fault := ParsePorts(text)
	return fault
}

// ParsePorts takes the short form of a port apart.
func ParsePorts(text string) (Ports, *Fault) {
	numbers, protocol, given := strings.Cut(text, "/")
	if !given {
		protocol = "tcp"
	}
	p := Ports{Protocol: strings.ToLower(protocol)}
	if fault := Protocol(p.Protocol); fault != nil || p.Protocol == "" {
		return p, &Fault{Rule: "invalid-port", Part: protocol, Problem: quote(protocol) + " is not a protocol", Fix: "write " + list(protocols)}
	}
	ip, host, target := splitPort(numbers)
	p.IP = strings.Trim(ip, "[]")
	if _, err := netip.ParseAddr(p.IP); ip != "" && err != nil {
		if strings.Contains(ip, ":") && strings.Trim(ip, "0123456789.:") == "" {
			return p, form("port", text, "a port: it has too many colons", portAdvice)
		}
		return p, &Fault{Rule: "invalid-port", Part: ip, Problem: quote(ip) + " is not an IP address", Fix: `write "address:host port:container port"`}
	}
	var fault *Fault
	if p.Target, fault = ParseRange(target); fault != nil {
		return p, fault
	}
	if host == "" || host == free {
		return p, nil
	}
	if p.Host, fault = ParseRange(host); fault != nil {
		return p, fault
	}
	if a, b := p.Host.len(), p.Target.len(); a != b && b != 1 {
		problem := fmt.Sprintf("%s maps %d ports to %d", quote(text), a, b)
		return p, &Fault{Rule: "invalid-port", Problem: problem, Fix: "make both ranges equally long"}
	}
	return p, nil
}

func splitPort(s string) (ip, host, target string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", s
	}
	host, target = s[:i], s[i+1:]
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		ip, host = host[:i], host[i+1:]
	}
	return ip, host, target
}

// ParseRange reads "80" or "80-90".
func ParseRange(text string) (Range, *Fault) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	var r Range
	var fault *Fault
	if r.First, fault = port(low); fault != nil {
		return r, fault
	}
	if r.Last, fault = port(high); fault != nil {
		return r, fault
	}
	if r.len() < 1 {
		return r, &Fault{Rule: "invalid-port", Part: text, Problem: fmt.Sprintf("the range %s ends before it begins", text)}
	}
	return r, nil
}

func port(text string) (int, *Fault) {
	n, err := strconv.Atoi(text)
	fault := &Fault{Rule: "invalid-port", Part: text}
	switch {
	case err != nil || !digit(rune(text[0])):
		fault.Problem, fault.Fix = quote(text)+" is not a port", portAdvice
	case n < 1:
		fault.Problem, fault.Fix = fmt.Sprintf("port %d is below 1", n), "write a port between 1 and 65535; leave the host port out to have one chosen"
	case n > lastPort:
		fault.Problem, fault.Fix = fmt.Sprintf("port %d is above 65535", n), "write a port between 1 and 65535"
	default:
		return n, nil
	}
	return 0, fault
}

// PortNumber checks a port alone.
func PortNumber(text string) *Fault {
	_, fault := port(text)
	return fault
}

// PortRange checks a published port or a range of them, which may be left out.
var PortRange = optional(func(text string) *Fault {
	if text == free {
		return nil
	}
	_, fault := ParseRange(text)
	return fault
})

// Expose checks a port or a range of them with a protocol.
func Expose(text string) *Fault {
	ports, protocol, given := strings.Cut(text, "/")
	if _, fault := ParseRange(ports); fault != nil {
		fault.Fix = `write "80" or "80/udp"`
		return fault
	}
	if !given {
		return nil
	}
	return Protocol(protocol)
}

// Protocol checks the name of a protocol that has ports.
var Protocol = optional(func(text string) *Fault {
	if slices.Contains(protocols, strings.ToLower(text)) {
		return nil
	}
	return &Fault{Rule: "invalid-port", Part: text, Problem: quote(text) + " is not a protocol", Fix: "write " + list(protocols)}
})
