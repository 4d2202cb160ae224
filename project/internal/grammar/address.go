package grammar

import (
	"net"
	"net/netip"
	"strings"
)

// Address checks an IP address, which may be left out.
var Address = optional(func(text string) *Fault {
	if _, err := netip.ParseAddr(text); err != nil {
		return form("address", text, "an IP address", "")
	}
	return nil
})

// IPv4 checks an IPv4 address, IPv6 an IPv6 address.
var (
	IPv4 = optional(func(text string) *Fault {
		if a, err := netip.ParseAddr(text); err == nil && a.Is6() {
			return form("address", text, "an IPv4 address", "write it as ipv6_address")
		}
		return Address(text)
	})
	IPv6 = optional(func(text string) *Fault {
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() {
			return form("address", text, "an IPv6 address", "write it as ipv4_address")
		}
		return Address(text)
	})
)

// Subnet checks an address with the number of its fixed bits.
var Subnet = optional(func(text string) *Fault {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return form("subnet", text, "a subnet", "write it as an address and the number of its fixed bits, for example 10.0.1.0/24")
	}
	if p.Masked() != p {
		return form("subnet", text, "a subnet: bits after the first "+bits(p)+" are set", "write "+p.Masked().String())
	}
	return nil
})

func bits(p netip.Prefix) string {
	_, n, _ := strings.Cut(p.String(), "/")
	return n
}

// MAC checks the address of a network card.
var MAC = optional(func(text string) *Fault {
	if hw, err := net.ParseMAC(text); err != nil || len(hw) != 6 {
		return form("mac", text, "a MAC address", "write six pairs of hexadecimal digits, for example 02:42:ac:11:00:02")
	}
	return nil
})

// ExtraHost checks "name=address" and "name:address".
func ExtraHost(text string) *Fault {
	const fix = `write "name=address", for example "db=10.0.0.5" or "host=host-gateway"`
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		name, address, ok = strings.Cut(text, ":")
	}
	if !ok || name == "" || address == "" {
		return form("host", text, "a host with its address", fix)
	}
	if fault := HostAddress(address); fault != nil {
		fault.Part, fault.Fix = address, fix
		return fault
	}
	return nil
}

// HostAddress checks an address that a name of extra_hosts stands for. Several are separated by commas.
func HostAddress(text string) *Fault {
	for one := range strings.SplitSeq(text, ",") {
		if one == "host-gateway" {
			continue
		}
		if fault := Address(strings.Trim(strings.TrimSpace(one), "[]")); fault != nil {
			return form("address", one, "an IP address", "write an address, or host-gateway for this machine")
		}
	}
	return nil
}
