package network

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

func quiet(t *testing.T) *host { return newHost(t, 1) }

func create(t *testing.T, h *host, name, subnet string) {
	t.Helper()
	opts := network.CreateOptions{}
	if subnet != "" {
		opts.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}}
	}
	if _, err := h.Create(name, opts); err != nil {
		t.Fatal(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	config := func(c network.IPAMConfig) network.CreateOptions {
		return network.CreateOptions{IPAM: &network.IPAM{Config: []network.IPAMConfig{c}}}
	}
	option := func(key, value string) network.CreateOptions {
		return network.CreateOptions{Options: map[string]string{key: value}}
	}
	yes, no := true, false
	for _, test := range []struct {
		name string // of the network
		opts network.CreateOptions
		kind error
		text string // part of the message
	}{
		{"front", network.CreateOptions{}, engine.ErrConflict, "front already exists"},
		{"bridge", network.CreateOptions{}, engine.ErrConflict, "bridge already exists"},
		{"", network.CreateOptions{}, engine.ErrInvalid, "name"},
		{"a/b", network.CreateOptions{}, engine.ErrInvalid, `"a/b"`},
		{"new", network.CreateOptions{Driver: "macvlan"}, engine.ErrUnsupported, `"macvlan"`},
		{"new", network.CreateOptions{Driver: "host"}, engine.ErrForbidden, `"host"`},
		{"new", network.CreateOptions{EnableIPv6: &yes}, engine.ErrUnsupported, "IPv6"},
		{"new", network.CreateOptions{EnableIPv4: &no}, engine.ErrUnsupported, "IPv4"},
		{"new", network.CreateOptions{ConfigOnly: true}, engine.ErrUnsupported, "configuration-only"},
		{"new", network.CreateOptions{Ingress: true}, engine.ErrUnsupported, "ingress"},
		{"new", network.CreateOptions{Scope: "swarm"}, engine.ErrUnsupported, `"swarm"`},
		{"new", network.CreateOptions{IPAM: &network.IPAM{Driver: "x"}}, engine.ErrUnsupported, `IPAM driver "x"`},
		{"new", config(network.IPAMConfig{Subnet: "10.0.1.128/25"}), engine.ErrInvalid, "overlaps 10.0.1.0/24 of network front"},
		{"new", config(network.IPAMConfig{Subnet: "192.168.7.0/24"}), engine.ErrInvalid, "overlaps 192.168.7.0/24, which the host has on lan0"},
		{"new", config(network.IPAMConfig{Subnet: "10.0.1"}), engine.ErrInvalid, `"10.0.1"`},
		{"new", config(network.IPAMConfig{Subnet: "10.0.2.5/24"}), engine.ErrInvalid, "10.0.2.0/24"},
		{"new", config(network.IPAMConfig{Subnet: "fd00::/64"}), engine.ErrUnsupported, "IPv6"},
		{"new", config(network.IPAMConfig{Subnet: "0.0.0.0/0"}), engine.ErrInvalid, "0.0.0.0/0"},
		{"new", config(network.IPAMConfig{Gateway: "10.0.2.1"}), engine.ErrInvalid, "need a subnet"},
		{"new", config(network.IPAMConfig{Subnet: "10.0.2.0/24", Gateway: "10.0.3.1"}), engine.ErrInvalid, "gateway 10.0.3.1 is not in subnet 10.0.2.0/24"},
		{"new", config(network.IPAMConfig{Subnet: "10.0.2.0/24", IPRange: "10.0.3.0/25"}), engine.ErrInvalid, "IP range 10.0.3.0/25"},
		{"new", config(network.IPAMConfig{Subnet: "10.0.2.0/24", AuxAddress: map[string]string{"nas": "10.1.1.1"}}), engine.ErrInvalid, "nas"},
		{"new", option("com.docker.network.driver.mtu", "big"), engine.ErrInvalid, `mtu="big"`},
		{"new", option("com.docker.network.driver.mtu", "1"), engine.ErrInvalid, "68"},
		{"new", option("com.docker.network.bridge.name", "a name that is too long"), engine.ErrInvalid, "15 characters"},
		{"new", option("com.docker.network.bridge.enable_icc", "maybe"), engine.ErrInvalid, "enable_icc"},
		{"new", option("com.docker.network.bridge.host_binding_ipv4", "::1"), engine.ErrInvalid, "IPv4"},
		{"new", option("com.docker.network.bridge.gateway_mode_ipv4", "routed"), engine.ErrUnsupported, "routed"},
		{"new", option("parent", "eth0"), engine.ErrUnsupported, "option parent"},
	} {
		h := quiet(t)
		create(t, h, "front", "10.0.1.0/24")
		h.kernel.foreign = append(h.kernel.foreign, route("192.168.7.0/24", "lan0"), route("10.0.0.0/8", "tun0"))
		_, err := h.Create(test.name, test.opts)
		if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s %+v: %v, want a message with %q of kind %v", test.name, test.opts, err, test.text, test.kind)
		}
		if n := len(h.List()); n != 4 {
			t.Errorf("%s: there are %d networks", test.text, n)
		}
	}
}

func TestPoolsAvoidWhatTheHostHas(t *testing.T) {
	h := quiet(t)
	h.kernel.foreign = append(h.kernel.foreign, route("172.17.0.0/16", "docker0"), route("172.18.3.0/24", "br-x"))
	create(t, h, "a", "")
	create(t, h, "b", "172.20.1.0/24")
	create(t, h, "c", "")
	for name, want := range map[string]string{"a": "172.19.0.0/16", "b": "172.20.1.0/24", "c": "172.21.0.0/16"} {
		n, err := h.Inspect(name)
		if err != nil || n.IPAM.Config[0].Subnet != want {
			t.Errorf("%s: %+v, %v, want %s", name, n.IPAM, err, want)
		}
	}
}

// TestANameCountsBeforeBeginningsOfIDs: among 28 networks several IDs begin with the same digit.
func TestANameCountsBeforeBeginningsOfIDs(t *testing.T) {
	h := quiet(t)
	for digit := range 16 {
		create(t, h, fmt.Sprintf("%x", digit), "")
	}
	for i := range 12 {
		create(t, h, fmt.Sprintf("net-%d", i), fmt.Sprintf("10.77.%d.0/24", i))
	}
	for digit := range 16 {
		if _, name, err := h.Resolve(fmt.Sprintf("%x", digit)); err != nil || name != fmt.Sprintf("%x", digit) {
			t.Errorf("%x is %q, %v", digit, name, err)
		}
	}
}

func TestInspect(t *testing.T) {
	h := quiet(t)
	id, err := h.Create("front", network.CreateOptions{
		Attachable: true, Labels: map[string]string{"a": "b"},
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: "10.0.1.0/24", IPRange: "10.0.1.128/25", Gateway: "10.0.1.254",
			AuxAddress: map[string]string{"nas": "10.0.1.128"}}}},
		Options: map[string]string{"com.docker.network.driver.mtu": "1400"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.NewSandbox("c1", []Attachment{{Network: id[:5]}}, nil, SandboxOptions{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := h.Inspect("front")
	if err != nil {
		t.Fatal(err)
	}
	c := n.IPAM.Config[0]
	if n.ID != id || n.Driver != "bridge" || n.Scope != "local" || !n.Attachable || n.Labels["a"] != "b" ||
		c.Subnet != "10.0.1.0/24" || c.IPRange != "10.0.1.128/25" || c.Gateway != "10.0.1.254" || c.AuxAddress["nas"] != "10.0.1.128" {
		t.Errorf("got %+v", n)
	}
	e := n.Containers["c1"]
	if e.Name != "web" || e.IPv4Address != "10.0.1.129/24" || e.MacAddress != "02:42:0a:00:01:81" {
		t.Errorf("got %+v", e)
	}
	mine := s.Endpoints()[id]
	if mine.IPAddress != "10.0.1.129" || mine.IPPrefixLen != 24 || mine.Gateway != "10.0.1.254" || mine.EndpointID != e.EndpointID {
		t.Errorf("got %+v", mine)
	}
	if p := h.kernel.ports["st"+e.EndpointID[:10]]; p == nil || p.device.MTU != 1400 || p.device.Name != "eth0" {
		t.Errorf("the link is %+v", p)
	}
	if err := errors.Join(s.Close(), h.Release("c1")); err != nil {
		t.Error(err)
	}
}

func TestResolve(t *testing.T) {
	h := quiet(t)
	create(t, h, "front", "")
	id, _, err := h.Resolve("front")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"front", id, id[:12]} {
		if got, name, err := h.Resolve(ref); got != id || name != "front" || err != nil {
			t.Errorf("%s: %s, %s, %v", ref, got, name, err)
		}
	}
	if _, name, err := h.Resolve("default"); name != "bridge" || err != nil {
		t.Errorf("default: %s, %v", name, err)
	}
	for _, ref := range []string{"", "fron", "nowhere"} {
		if _, _, err := h.Resolve(ref); err == nil {
			t.Errorf("%q was found", ref)
		}
	}
}

func TestRemoveRefuses(t *testing.T) {
	h := quiet(t)
	create(t, h, "front", "")
	if _, err := h.NewSandbox("c1", []Attachment{{Network: "front"}}, nil, SandboxOptions{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]struct {
		kind error
		text string
	}{
		"front":   {engine.ErrConflict, "network front is in use by web"},
		"bridge":  {engine.ErrForbidden, "predefined"},
		"nowhere": {engine.ErrNotFound, "network nowhere not found"},
	} {
		if err := h.Manager.Remove(ref); !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
