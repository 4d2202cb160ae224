package project

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/xhit/go-str2duration/v2"
	"gopkg.in/yaml.v3"
)

// grammars are the checks of values whose text has a form of its own, by the shape of their path.
var grammars = map[string]func(*checker, *yaml.Node){
	"services.*.ports[]":           port,
	"services.*.ports[].target":    portNumber,
	"services.*.ports[].published": portRange,
	"services.*.ports[].host_ip":   address,
	"services.*.expose[]":          exposed,

	"services.*.healthcheck.interval":           duration,
	"services.*.healthcheck.timeout":            duration,
	"services.*.healthcheck.start_period":       duration,
	"services.*.healthcheck.start_interval":     duration,
	"services.*.stop_grace_period":              duration,
	"services.*.deploy.restart_policy.delay":    duration,
	"services.*.deploy.restart_policy.window":   duration,
	"services.*.deploy.update_config.delay":     duration,
	"services.*.deploy.update_config.monitor":   duration,
	"services.*.deploy.rollback_config.delay":   duration,
	"services.*.deploy.rollback_config.monitor": duration,

	"services.*.mem_limit":                            size,
	"services.*.mem_reservation":                      size,
	"services.*.memswap_limit":                        size,
	"services.*.shm_size":                             size,
	"services.*.build.shm_size":                       size,
	"services.*.volumes[].tmpfs.size":                 size,
	"services.*.deploy.resources.limits.memory":       size,
	"services.*.deploy.resources.reservations.memory": size,

	"services.*.networks.*.ipv4_address": address,
	"services.*.networks.*.ipv6_address": address,
	"networks.*.ipam.config[].subnet":    prefix,
	"networks.*.ipam.config[].ip_range":  prefix,
	"networks.*.ipam.config[].gateway":   address,
}

// part reports a problem with a part of the value, under which the caret is put.
func (c *checker) part(n *yaml.Node, part, problem, fix string) {
	line, col := c.locateIn(n, part)
	c.errors = append(c.errors, c.at(line, col, problem, fix))
}

func duration(c *checker, n *yaml.Node) {
	if _, err := str2duration.ParseDuration(n.Value); err != nil {
		c.report(n, fmt.Sprintf("%q is not a duration", n.Value), "write a number with its unit, for example 30s, 1m30s or 500ms")
	}
}

func size(c *checker, n *yaml.Node) {
	if n.Value == "-1" {
		return // no limit
	}
	if _, err := units.RAMInBytes(n.Value); err != nil {
		c.report(n, fmt.Sprintf("%q is not a size", n.Value), "write a number with its unit, for example 64m or 2g")
	}
}

func address(c *checker, n *yaml.Node) {
	if _, err := netip.ParseAddr(n.Value); err != nil {
		c.report(n, fmt.Sprintf("%q is not an IP address", n.Value), "")
	}
}

func prefix(c *checker, n *yaml.Node) {
	if _, err := netip.ParsePrefix(n.Value); err != nil {
		c.report(n, fmt.Sprintf("%q is not a subnet", n.Value), "write it as an address and the number of its fixed bits, for example 10.0.1.0/24")
	}
}

// port checks the short form [[address:]host:]container[/protocol]; host and container may be ranges.
func port(c *checker, n *yaml.Node) {
	if n.Kind != yaml.ScalarNode {
		return
	}
	ports, protocol, _ := strings.Cut(n.Value, "/")
	if protocol != "" && protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		c.part(n, protocol, fmt.Sprintf("%q is not a protocol", protocol), "write tcp, udp or sctp")
		return
	}
	ip, host, target := splitPort(ports)
	if ip != "" {
		if _, err := netip.ParseAddr(strings.Trim(ip, "[]")); err != nil {
			c.part(n, ip, fmt.Sprintf("%q is not an IP address", ip), `write "address:host port:container port"`)
			return
		}
	}
	if !c.numbers(n, target) || host != "" && !c.numbers(n, host) {
		return
	}
	if a, b := width(host), width(target); host != "" && a != b && b != 1 {
		c.report(n, fmt.Sprintf("%q maps %d ports to %d", n.Value, a, b), "make both ranges equally long")
	}
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

func width(portRange string) int {
	low, high, is := strings.Cut(portRange, "-")
	if !is {
		return 1
	}
	a, _ := strconv.Atoi(low) // checked by numbers
	b, _ := strconv.Atoi(high)
	return b - a + 1
}

func portNumber(c *checker, n *yaml.Node) { c.numbers(n, n.Value) }

func portRange(c *checker, n *yaml.Node) {
	if n.Value != "" {
		c.numbers(n, n.Value)
	}
}

func exposed(c *checker, n *yaml.Node) {
	ports, _, _ := strings.Cut(n.Value, "/")
	c.numbers(n, ports)
}

const lastPort = 65535

// numbers checks a port or a range of them.
func (c *checker) numbers(n *yaml.Node, text string) bool {
	low, high, isRange := strings.Cut(text, "-")
	if !c.number(n, low) || isRange && !c.number(n, high) {
		return false
	}
	if isRange && width(text) < 1 {
		c.part(n, text, fmt.Sprintf("the range %s ends before it begins", text), "")
		return false
	}
	return true
}

func (c *checker) number(n *yaml.Node, text string) bool {
	port, err := strconv.Atoi(text)
	switch {
	case err != nil:
		c.part(n, text, fmt.Sprintf("%q is not a port", text), `write "8080:80" or "127.0.0.1:8080:80/tcp"`)
	case port < 1:
		c.part(n, text, fmt.Sprintf("port %d is below 1", port), "write a port between 1 and 65535; leave the host port out to have one chosen")
	case port > lastPort:
		c.part(n, text, fmt.Sprintf("port %d is above 65535", port), "write a port between 1 and 65535")
	default:
		return true
	}
	return false
}
