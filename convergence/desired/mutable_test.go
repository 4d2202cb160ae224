package desired

import (
	"reflect"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

// What an engine reports of a container that is as it was made has the same words as the wish.
func TestReportedSettingsAreThoseOfTheWish(t *testing.T) {
	pids := int64(50)
	host := &container.HostConfig{
		RestartPolicy: container.RestartPolicy{Name: "on-failure", MaximumRetryCount: 3},
		Resources: container.Resources{
			Memory: 1 << 26, MemorySwap: -1, MemoryReservation: 1 << 25, NanoCPUs: 5e8, CPUShares: 7, CPUPeriod: 1000, CPUQuota: 2000,
			CpusetCpus: "0-1", CpusetMems: "0", PidsLimit: &pids, BlkioWeight: 300,
		},
	}
	endpoints := map[string]*network.EndpointSettings{
		"x_front": {Aliases: []string{"a", "b c"}, Links: []string{"d:e"}, GwPriority: 4, MacAddress: "02:00:00:00:00:01",
			DriverOpts: map[string]string{"k": "v"},
			IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: "10.0.0.2", IPv6Address: "fd00::2", LinkLocalIPs: []string{"169.254.1.1"}}},
		"x_back": {Aliases: []string{"a"}},
	}
	c := Container{Config: engine.CreateConfig{Config: &container.Config{}, Host: host, Networking: &network.NetworkingConfig{EndpointsConfig: endpoints}}}
	want := slices.DeleteFunc(containerSettings(&c), func(s Setting) bool { return !Mutable(s.Name) })
	if got := Reported(host, endpoints); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if seen := len(want) - 9; seen != len(adjustable) {
		t.Errorf("%d of %d limits were looked at", seen, len(adjustable))
	}
}

// What the engine made of an endpoint is not what was asked for.
func TestReportedLeavesOutWhatTheEngineMade(t *testing.T) {
	got := Reported(&container.HostConfig{}, map[string]*network.EndpointSettings{
		"n": {NetworkID: "1", EndpointID: "2", Gateway: "10.0.0.1", IPAddress: "10.0.0.2", IPPrefixLen: 24, DNSNames: []string{"x"}}, "gone": nil,
	})
	if len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestEndpointOf(t *testing.T) {
	s := Settings{{"Networks.a.Aliases", "1"}, {"Networks.a.GwPriority", "2"}, {"Networks.ab", ""}, {"Networks.b.Aliases", "3"}, {"User", "u"}}
	for name, want := range map[string]Settings{
		"a": {{"Aliases", "1"}, {"GwPriority", "2"}}, "ab": nil, "b": {{"Aliases", "3"}},
	} {
		if got, ok := s.Endpoint(name); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v %v", name, got, ok)
		}
	}
	if got, ok := s.Endpoint("c"); ok || got != nil {
		t.Errorf("c: %v %v", got, ok)
	}
	if v, ok := s.Get("User"); v != "u" || !ok {
		t.Errorf("User: %q %v", v, ok)
	}
	if _, ok := s.Get("Users"); ok {
		t.Error("found what is not there")
	}
}

func TestSameEndpoint(t *testing.T) {
	want := Settings{{"Networks.a.Aliases", "1"}, {"Networks.a.GwPriority", "2"}, {"Networks.ab.Aliases", "4"}}
	for name, c := range map[string]struct {
		now  Settings
		same bool
	}{
		"as wanted":         {want, true},
		"with an address":   {Settings{{"Networks.a.Aliases", "1"}, {"Networks.a.GwPriority", "2"}, {"Networks.a.MacAddress", "m"}}, true},
		"another alias":     {Settings{{"Networks.a.Aliases", "2"}, {"Networks.a.GwPriority", "2"}}, false},
		"less":              {Settings{{"Networks.a.Aliases", "1"}, {"Networks.ab.GwPriority", "2"}}, false},
		"more":              {Settings{{"Networks.a.Aliases", "1"}, {"Networks.a.GwPriority", "2"}, {"Networks.a.IPAMConfig.IPv4Address", "i"}}, false},
		"more, and address": {Settings{{"Networks.a.Aliases", "1"}, {"Networks.a.GwPriority", "2"}, {"Networks.a.MacAddress", "m"}, {"Networks.a.Z", ""}}, false},
		"an alias of its":   {Settings{{"Networks.a.Aliases", "1 id"}, {"Networks.a.GwPriority", "2"}}, true},
		"nothing":           {nil, false},
	} {
		if got := c.now.SameEndpoint(want, "a", "id"); got != c.same {
			t.Errorf("%s: %v", name, got)
		}
	}
	mac := Settings{{"Networks.a.MacAddress", "m"}}
	if (Settings{{"Networks.a.MacAddress", "n"}}).SameEndpoint(mac, "a", "id") || !mac.SameEndpoint(mac, "a", "id") {
		t.Error("a MAC address that is wanted counts")
	}
}
