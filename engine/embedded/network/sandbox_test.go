package network

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

func TestParsePorts(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for _, test := range []struct {
		bindings nat.PortMap
		want     []Port
		err      string // part of the message
	}{
		{nat.PortMap{}, nil, ""},
		{nat.PortMap{"80/tcp": {{HostPort: "8080"}}, "53/udp": {{HostIP: "127.0.0.1", HostPort: "5353"}}},
			[]Port{{80, "tcp", netip.Addr{}, 8080, 8080}, {53, "udp", local, 5353, 5353}}, ""},
		{nat.PortMap{"80": {{HostPort: ""}, {HostPort: "0"}}}, []Port{{Container: 80, Proto: "tcp"}, {Container: 80, Proto: "tcp"}}, ""},
		{nat.PortMap{"80/TCP": {{HostPort: "8000-8010"}}}, []Port{{80, "tcp", netip.Addr{}, 8000, 8010}}, ""},
		{nat.PortMap{"80/tcp": {{HostIP: "::ffff:127.0.0.1", HostPort: "1"}}}, []Port{{80, "tcp", local, 1, 1}}, ""},
		{nat.PortMap{"0/tcp": {{}}}, nil, `"0/tcp"`},
		{nat.PortMap{"65536/tcp": {{}}}, nil, `"65536/tcp"`},
		{nat.PortMap{"80/icmp": {{}}}, nil, `"80/icmp"`},
		{nat.PortMap{"80/tcp": {{HostPort: "65536"}}}, nil, `"65536"`},
		{nat.PortMap{"80/tcp": {{HostPort: "-1"}}}, nil, `"-1"`},
		{nat.PortMap{"80/tcp": {{HostPort: "9-8"}}}, nil, `"9-8"`},
		{nat.PortMap{"80/tcp": {{HostPort: "0-8"}}}, nil, `"0-8"`},
		{nat.PortMap{"80/tcp": {{HostIP: "home"}}}, nil, `"home"`},
		{nat.PortMap{"80/tcp": {{HostIP: "::1"}}}, nil, "IPv6"},
	} {
		got, err := ParsePorts(nil, test.bindings, false)
		if test.err == "" && (err != nil || !slices.Equal(got, test.want)) {
			t.Errorf("%v: %v, %v, want %v", test.bindings, got, err, test.want)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%v: %v, want a message with %q", test.bindings, err, test.err)
		}
	}
	got, err := ParsePorts(nat.PortSet{"80/tcp": {}, "81/tcp": {}}, nat.PortMap{"80/tcp": {{HostPort: "8080"}}}, true)
	if want := []Port{{80, "tcp", netip.Addr{}, 8080, 8080}, {Container: 81, Proto: "tcp"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("all exposed ones: %v, %v", got, err)
	}
}

// reserved makes a sandbox on "bridge" and returns the ports that it got.
func reserved(h *host, name string, ports ...Port) ([]uint16, error) {
	s, err := h.NewSandbox(name, []Attachment{{Network: "bridge"}}, ports, SandboxOptions{Name: name})
	if err != nil {
		return nil, err
	}
	var got []uint16
	for _, r := range s.Reservations() {
		got = append(got, r.Port)
	}
	return got, nil
}

func TestPortsOfTheHost(t *testing.T) {
	one := func(proto, ip string, first, last uint16) Port {
		p := Port{Container: 80, Proto: proto, First: first, Last: last}
		if ip != "" {
			p.HostIP = netip.MustParseAddr(ip)
		}
		return p
	}
	for _, test := range []struct {
		name string
		port Port
		want uint16
		err  string
	}{
		{"same", one("tcp", "", 8080, 8080), 0, "port 8080 is already allocated by container web"},
		{"one address of all", one("tcp", "127.0.0.1", 8080, 8080), 0, "port 8080 is already allocated by container web"},
		{"other protocol", one("udp", "", 8080, 8080), 8080, ""},
		{"same of one address", one("tcp", "127.0.0.1", 8081, 8081), 0, "port 8081 is already allocated by container web"},
		{"all of one address", one("tcp", "", 8081, 8081), 0, "port 8081 is already allocated by container web"},
		{"other address", one("tcp", "127.0.0.2", 8081, 8081), 8081, ""},
		{"range", one("tcp", "", 8080, 8083), 8082, ""},
		{"taken range", one("tcp", "", 8080, 8081), 0, "all ports of 8080-8081 are already allocated"},
		{"any", one("tcp", "", 0, 0), 40001, ""},
	} {
		h := quiet(t)
		if _, err := reserved(h, "web", one("tcp", "", 8080, 8080), one("tcp", "127.0.0.1", 8081, 8081), one("tcp", "", 0, 0)); err != nil {
			t.Fatal(err)
		}
		got, err := reserved(h, "other", test.port)
		switch {
		case test.err == "" && (err != nil || got[0] != test.want):
			t.Errorf("%s: %v, %v, want %d", test.name, got, err, test.want)
		case test.err != "" && (!errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: %v", test.name, err)
		case test.err != "" && len(h.containers) != 1:
			t.Errorf("%s: a refused container is there", test.name)
		}
	}
}

func TestEphemeralPortsRunOut(t *testing.T) {
	h := quiet(t)
	any := Port{Container: 80, Proto: "tcp"}
	got, err := reserved(h, "a", slices.Repeat([]Port{any}, 9)...)
	if err != nil || got[8] != 40008 {
		t.Fatalf("%v, %v", got, err)
	}
	if err := h.Release("a"); err != nil {
		t.Fatal(err)
	}
	if got, err = reserved(h, "b", slices.Repeat([]Port{any}, 10)...); err != nil || got[0] != 40009 || got[1] != 40000 {
		t.Errorf("%v, %v: ports were used again too soon", got, err)
	}
	if got, err := reserved(h, "c", any); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("an eleventh of ten: %v, %v", got, err)
	}
}

func TestRepick(t *testing.T) {
	h := quiet(t)
	s, err := h.NewSandbox("web", []Attachment{{Network: "bridge"}}, []Port{
		{Container: 80, Proto: "tcp"}, {Container: 81, Proto: "tcp", First: 8000, Last: 8001}, {Container: 82, Proto: "tcp", First: 9000, Last: 9000},
	}, SandboxOptions{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	first := s.Reservations()
	for i, want := range []uint16{40001, 8001} {
		if r, err := h.Repick("web", first[i]); err != nil || r.Port != want {
			t.Errorf("instead of %d: %v, %v", first[i].Port, r, err)
		}
	}
	now := s.Reservations()
	if now[0].Port != 40001 || now[1].Port != 8001 || s.Ports()["80/tcp"][0].HostPort != "40001" {
		t.Errorf("the ports are %v, %v", now, s.Ports())
	}
	for _, r := range []Reservation{first[2], first[0]} {
		if r, err := h.Repick("web", r); !errors.Is(err, engine.ErrConflict) {
			t.Errorf("another for %d: %v, %v", r.Port, r, err)
		}
	}
	if err := h.kernelMatches("web", s); err != nil {
		t.Error(err)
	}
}

// kernelMatches is check for a host on which only this container runs.
func (h *host) kernelMatches(id string, s *Sandbox) error {
	for _, space := range h.kernel.spaces {
		if space.file == s.File() {
			space.path = path(id)
		}
	}
	h.running[id] = s
	return h.check()
}

func TestFixedAddresses(t *testing.T) {
	for _, test := range []struct {
		network, address string
		kind             error
		text             string
	}{
		{"fixed", "10.0.1.77", nil, ""},
		{"fixed", "10.0.1.2", engine.ErrConflict, "by container first"},
		{"fixed", "10.0.1.1", engine.ErrConflict, "by the gateway"},
		{"fixed", "10.0.2.1", engine.ErrInvalid, "10.0.1.0/24"},
		{"fixed", "nonsense", engine.ErrInvalid, `"nonsense"`},
		{"picked", "172.17.0.9", engine.ErrInvalid, "subnet of the user's"},
	} {
		h := quiet(t)
		create(t, h, "fixed", "10.0.1.0/24")
		create(t, h, "picked", "")
		if _, err := h.NewSandbox("first", []Attachment{{Network: "fixed"}}, nil, SandboxOptions{Name: "first"}); err != nil {
			t.Fatal(err)
		}
		settings := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: test.address}}
		_, err := h.NewSandbox("c", []Attachment{{test.network, settings}}, nil, SandboxOptions{Name: "c"})
		if test.kind == nil && err != nil || test.kind != nil && (!errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%s on %s: %v", test.address, test.network, err)
		}
	}
}

func TestInterfaces(t *testing.T) {
	h := quiet(t)
	for _, name := range []string{"a", "b", "c"} {
		create(t, h, name, "")
	}
	s, err := h.NewSandbox("web", []Attachment{
		{"c", &network.EndpointSettings{MacAddress: "02:00:00:00:00:01"}},
		{"a", &network.EndpointSettings{DriverOpts: map[string]string{optionInterface: "lan"}}},
		{"b", &network.EndpointSettings{GwPriority: 1, DriverOpts: map[string]string{optionSysctls: "net.ipv4.conf.IFNAME.log_martians=1"}}},
	}, nil, SandboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.kernelMatches("web", s); err != nil {
		t.Error(err)
	}
	got := map[string]string{}
	for _, p := range h.kernel.ports {
		got[p.device.Name] = p.device.MAC.String()
		if setting := p.device.Sysctls["net/ipv4/conf/IFNAME/log_martians"]; (setting == "1") != (p.device.Name == "eth1") {
			t.Errorf("%s has the settings %v", p.device.Name, p.device.Sysctls)
		}
	}
	want := map[string]string{"eth0": "02:00:00:00:00:01", "lan": "02:42:ac:11:00:02", "eth1": "02:42:ac:12:00:02"}
	if !maps.Equal(got, want) {
		t.Errorf("the interfaces are %v, want %v", got, want)
	}
	if gateway := h.kernel.spaces[0].gateway.String(); gateway != "172.18.0.1" {
		t.Errorf("the gateway is %s", gateway)
	}
	for _, settings := range []*network.EndpointSettings{
		{MacAddress: "nonsense"}, {MacAddress: "01:00:00:00:00:01"},
		{DriverOpts: map[string]string{"x": "y"}}, {DriverOpts: map[string]string{optionInterface: "no/slash"}},
		{DriverOpts: map[string]string{optionSysctls: "net.ipv4.ip_forward=1"}},
		{DriverOpts: map[string]string{optionSysctls: "net.ipv4.conf.eth7.forwarding=1"}},
	} {
		if _, err := h.NewSandbox("x", []Attachment{{"a", settings}}, nil, SandboxOptions{}); err == nil {
			t.Errorf("%+v was accepted", settings)
		}
	}
	if len(h.containers) != 1 {
		t.Errorf("refused containers are there")
	}
}

func TestNetworksThatDoNotGoTogether(t *testing.T) {
	h := quiet(t)
	for _, list := range [][]Attachment{
		{{Network: "host"}, {Network: "bridge"}}, {{Network: "bridge"}, {Network: "none"}}, {{Network: "bridge"}, {Network: "bridge"}}, {{Network: "nowhere"}},
	} {
		if _, err := h.NewSandbox("c", list, nil, SandboxOptions{}); err == nil {
			t.Errorf("%v was accepted", list)
		}
	}
	onHost, err := h.NewSandbox("h", []Attachment{{Network: "host"}}, nil, SandboxOptions{})
	if err != nil || onHost.File() != nil || onHost.Ports() != nil || onHost.Close() != nil {
		t.Errorf("on the network host: %+v, %v", onHost, err)
	}
	alone, err := h.NewSandbox("n", []Attachment{{Network: "none"}}, nil, SandboxOptions{})
	if err != nil || alone.File() == nil || len(alone.Endpoints()) != 0 {
		t.Errorf("on no network: %+v, %v", alone, err)
	}
	if _, err := h.Attach("n", "", Attachment{Network: "bridge"}); !errors.Is(err, engine.ErrForbidden) {
		t.Errorf("connecting what must be alone: %v", err)
	}
	if _, err := h.NewSandbox("n", nil, nil, SandboxOptions{}); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("a second sandbox: %v", err)
	}
}

func TestAttachments(t *testing.T) {
	settings := func(names ...string) map[string]*network.EndpointSettings {
		m := map[string]*network.EndpointSettings{}
		for _, n := range names {
			m[n] = nil
		}
		return m
	}
	for _, test := range []struct {
		mode      string
		endpoints map[string]*network.EndpointSettings
		want      []string
	}{
		{"", nil, nil},
		{"default", nil, []string{"default"}},
		{"default", settings("x"), []string{"x"}},
		{"none", nil, []string{"none"}},
		{"m", settings("z", "a", "m"), []string{"m", "a", "z"}},
		{"m", settings("z", "a"), []string{"m", "a", "z"}},
	} {
		var got []string
		for _, a := range Attachments(test.mode, test.endpoints) {
			got = append(got, a.Network)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s, %v: %v, want %v", test.mode, test.endpoints, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	h := quiet(t)
	create(t, h, "front", "10.0.1.0/24")
	create(t, h, "back", "10.0.2.0/24")
	sandbox := func(name string, links []string, networks ...string) *Sandbox {
		t.Helper()
		var list []Attachment
		for _, n := range networks {
			list = append(list, Attachment{n, &network.EndpointSettings{Aliases: []string{"Service"}, Links: links}})
		}
		s, err := h.NewSandbox("id-of-the-container-"+name, list, nil, SandboxOptions{Name: name, Aliases: []string{name + "-host"}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	sandbox("one", nil, "front", "back")
	two := sandbox("two", []string{"one:db", "/one:/two/other", "three:x"}, "front")
	sandbox("three", nil, "bridge")
	front, _, _ := h.Resolve("front")
	back, _, _ := h.Resolve("back")
	addr := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	want := Names{
		front: {"one": addr("10.0.1.2"), "one-host": addr("10.0.1.2"), "two": addr("10.0.1.3"), "two-host": addr("10.0.1.3"),
			"service": addr("10.0.1.2", "10.0.1.3"), "id-of-the-co": addr("10.0.1.2", "10.0.1.3")},
		back:                      {"one": addr("10.0.2.2"), "one-host": addr("10.0.2.2"), "service": addr("10.0.2.2"), "id-of-the-co": addr("10.0.2.2")},
		"id-of-the-container-two": {"one": addr("10.0.1.2"), "db": addr("10.0.1.2"), "two/other": addr("10.0.1.2")},
	}
	if got := h.Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := two.ResolverNetworks(); !slices.Equal(got, []string{"id-of-the-container-two", front}) {
		t.Errorf("the keys are %v", got)
	}
	if err := h.Rename("id-of-the-container-one", "uno"); err != nil {
		t.Error(err)
	}
	if names := h.Names()[back]; names["uno"] == nil || names["one"] != nil {
		t.Errorf("after a new name: %v", names)
	}
}
