package network

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

// Options of Docker's bridge driver that networks are created with.
const (
	optionBridgeName  = "com.docker.network.bridge.name"
	optionICC         = "com.docker.network.bridge.enable_icc"
	optionMasquerade  = "com.docker.network.bridge.enable_ip_masquerade"
	optionHostBinding = "com.docker.network.bridge.host_binding_ipv4"
	optionDefault     = "com.docker.network.bridge.default_bridge"
	optionGatewayMode = "com.docker.network.bridge.gateway_mode_ipv4"
	optionMTU         = "com.docker.network.driver.mtu"
	optionPrefix      = "com.docker.network.container_iface_prefix"
)

// config is what the options of a bridge network mean.
type config struct {
	bridge      string     // the link's name if the user chose it
	icc         bool       // containers reach each other
	masquerade  bool       // they appear in the world under the host's address
	hostBinding netip.Addr // where ports are published that do not say; may be the zero value
	mtu         int        // bytes; 0 for the kernel's default
	prefix      string     // of the interfaces' names inside
}

// readOptions reads the driver's options. What it does not know it refuses, with the option's name.
func readOptions(options map[string]string) (config, error) {
	c := config{icc: true, masquerade: true, prefix: "eth"}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if err := c.set(key, options[key]); err != nil {
			return config{}, err
		}
	}
	return c, nil
}

func (c *config) set(key, value string) (err error) {
	switch key {
	case optionBridgeName:
		c.bridge, err = value, checkLinkName(value)
	case optionICC:
		c.icc, err = strconv.ParseBool(value)
	case optionMasquerade:
		c.masquerade, err = strconv.ParseBool(value)
	case optionHostBinding:
		if c.hostBinding, err = netip.ParseAddr(value); err == nil && !c.hostBinding.Is4() {
			err = fmt.Errorf("%s is not an address of IPv4", value)
		}
	case optionMTU:
		if c.mtu, err = strconv.Atoi(value); err == nil && (c.mtu < 68 || c.mtu > 65535) {
			err = fmt.Errorf("%d is not between 68 and 65535", c.mtu) // RFC 791
		}
	case optionPrefix:
		c.prefix, err = value, checkLinkName(value+"00")
	case optionDefault:
		if v, e := strconv.ParseBool(value); e != nil || v {
			return engine.Errorf(engine.ErrForbidden, "the default bridge network is predefined and cannot be created")
		}
	case optionGatewayMode:
		if value != "nat" && value != "" {
			return engine.Errorf(engine.ErrUnsupported, "network option %s=%s is not supported", key, value)
		}
	default:
		return engine.Errorf(engine.ErrUnsupported, "network option %s is not supported", key)
	}
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "invalid network option %s=%q: %w", key, value, err)
	}
	return nil
}

// checkLinkName says whether the kernel takes the name for a link.
func checkLinkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 15 {
		return fmt.Errorf("the name of a link has 1 to 15 characters")
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || r == '/' || r == ':' || r == '%' {
			return fmt.Errorf("the name of a link has no %q", r)
		}
	}
	return nil
}

// addressing is a network's part of the address space.
type addressing struct {
	Subnet  netip.Prefix
	Range   netip.Prefix          // part of Subnet that addresses are picked from
	Gateway netip.Addr            // the host's own address
	Aux     map[string]netip.Addr `json:",omitempty"` // addresses that are somebody else's
	Auto    bool                  `json:",omitempty"` // Subnet was picked from the pools
}

// readIPAM reads what the user said about addresses. Without a subnet the result is Auto and has none.
func readIPAM(ipam *network.IPAM) (addressing, error) {
	if ipam == nil {
		return addressing{Auto: true}, nil
	}
	if ipam.Driver != "" && ipam.Driver != "default" {
		return addressing{}, engine.Errorf(engine.ErrUnsupported, "IPAM driver %q is not supported", ipam.Driver)
	}
	for _, key := range slices.Sorted(maps.Keys(ipam.Options)) {
		return addressing{}, engine.Errorf(engine.ErrUnsupported, "IPAM option %q is not supported", key)
	}
	switch len(ipam.Config) {
	case 0:
		return addressing{Auto: true}, nil
	case 1:
	default:
		return addressing{}, engine.Errorf(engine.ErrUnsupported, "networks with several subnets are not supported")
	}
	c := ipam.Config[0]
	if c.Subnet == "" {
		if c.IPRange != "" || c.Gateway != "" || len(c.AuxAddress) > 0 {
			return addressing{}, engine.Errorf(engine.ErrInvalid, "an IP range, a gateway or auxiliary addresses need a subnet")
		}
		return addressing{Auto: true}, nil
	}
	a := addressing{}
	if err := a.read(c); err != nil {
		return addressing{}, err
	}
	return a, nil
}

func (a *addressing) read(c network.IPAMConfig) (err error) {
	if a.Subnet, err = netip.ParsePrefix(c.Subnet); err != nil {
		return engine.Errorf(engine.ErrInvalid, "invalid subnet %q: write it like 10.0.1.0/24", c.Subnet)
	}
	if !a.Subnet.Addr().Is4() {
		return engine.Errorf(engine.ErrUnsupported, "subnet %s: IPv6 is not supported", c.Subnet)
	}
	if a.Subnet != a.Subnet.Masked() {
		return engine.Errorf(engine.ErrInvalid, "invalid subnet %s: its first address is %s", c.Subnet, a.Subnet.Masked())
	}
	if a.Subnet.Bits() == 0 {
		return engine.Errorf(engine.ErrInvalid, "invalid subnet %s: it is everything", c.Subnet)
	}
	a.Range = a.Subnet
	if c.IPRange != "" {
		if a.Range, err = netip.ParsePrefix(c.IPRange); err != nil {
			return engine.Errorf(engine.ErrInvalid, "invalid IP range %q: write it like 10.0.1.128/25", c.IPRange)
		}
		a.Range = a.Range.Masked()
		if a.Range.Bits() < a.Subnet.Bits() || !a.Subnet.Contains(a.Range.Addr()) {
			return engine.Errorf(engine.ErrInvalid, "IP range %s is not within subnet %s", c.IPRange, c.Subnet)
		}
	}
	if c.Gateway != "" {
		if a.Gateway, err = a.member("gateway", c.Gateway); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.AuxAddress)) {
		addr, err := a.member("auxiliary address "+name, c.AuxAddress[name])
		if err != nil {
			return err
		}
		if a.Aux == nil {
			a.Aux = map[string]netip.Addr{}
		}
		a.Aux[name] = addr
	}
	return nil
}

func (a *addressing) member(what, s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return addr, engine.Errorf(engine.ErrInvalid, "invalid %s %q: write it like 10.0.1.1", what, s)
	}
	if !a.Subnet.Contains(addr) {
		return addr, engine.Errorf(engine.ErrInvalid, "%s %s is not in subnet %s", what, s, a.Subnet)
	}
	return addr, nil
}
