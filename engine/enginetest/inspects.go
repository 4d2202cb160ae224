package enginetest

import (
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

var inspectCases = []testCase{
	{"what was configured is told", func(f *fixture) {
		id := f.create(sh("sleep 1000"), config(func(c *container.Config) { c.Env, c.StopSignal = []string{"A=b"}, "SIGINT" }), restart("always", 0))
		c := f.inspect(id)
		if c.Config.Image != f.Image || c.Config.Labels["enginetest"] != f.prefix || c.Config.Labels["enginetest.image"] != "1" ||
			c.Config.StopSignal != "SIGINT" || c.HostConfig.RestartPolicy.Name != "always" {
			f.Errorf("config is %+v", c.Config)
		}
		if c.Path != "sh" || len(c.Args) != 2 || c.Args[1] != "sleep 1000" {
			f.Errorf("path %q, args %q", c.Path, c.Args)
		}
		env := map[string]bool{}
		for _, e := range c.Config.Env {
			env[e] = true
		}
		if !env["A=b"] || !env["FROM_IMAGE=yes"] {
			f.Errorf("environment is %v", c.Config.Env)
		}
		if created, err := time.Parse(time.RFC3339Nano, c.Created); err != nil || created.Year() < 2000 {
			f.Errorf("created %q (%v)", c.Created, err)
		}
	}},
	{"the image is told by its ID", func(f *fixture) {
		image, err := f.ImageInspect(f.ctx, f.Image)
		f.must(err)
		if got := f.inspect(f.create()).Image; got != image.ID {
			f.Errorf("image %s, want %s", got, image.ID)
		}
	}},
	{"the default network", func(f *fixture) {
		c := f.inspect(f.run())
		ep := c.NetworkSettings.Networks["bridge"]
		if ep == nil || ep.IPAddress == "" || ep.Gateway == "" || ep.NetworkID == "" || ep.EndpointID == "" || ep.MacAddress == "" {
			f.Errorf("endpoint is %+v", ep)
		}
	}},
	{"a network of the user's", func(f *fixture) {
		net, subnet := f.network()
		id := f.run(on(net, &network.EndpointSettings{Aliases: []string{"db"}, IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: subnet + ".77"}}))
		c := f.inspect(id)
		ep := c.NetworkSettings.Networks[net]
		if len(c.NetworkSettings.Networks) != 1 || ep == nil || ep.IPAddress != subnet+".77" || ep.IPPrefixLen != 24 || ep.Gateway != subnet+".1" {
			f.Fatalf("networks are %+v, this one %+v", c.NetworkSettings.Networks, ep)
		}
		if !sameSet(intersection(ep.Aliases, "db"), []string{"db"}) || ep.IPAMConfig == nil || ep.IPAMConfig.IPv4Address != subnet+".77" {
			f.Errorf("endpoint is %+v", ep)
		}
		n, err := f.NetworkInspect(f.ctx, net, network.InspectOptions{})
		f.must(err)
		if got := n.Containers[id]; got.IPv4Address != subnet+".77/24" || "/"+got.Name != c.Name {
			f.Errorf("the network tells %+v", n.Containers)
		}
	}},
	{"mounts", func(f *fixture) {
		v, dir := f.volume(), f.TempDir()
		id := f.create(host(func(h *container.HostConfig) {
			h.Binds = []string{dir + ":/bound:ro"}
			h.Mounts = []mount.Mount{{Type: mount.TypeVolume, Source: v, Target: "/kept"}}
		}), config(func(c *container.Config) { c.Volumes = map[string]struct{}{"/anonymous": {}} }))
		got := map[string]container.MountPoint{}
		for _, m := range f.inspect(id).Mounts {
			got[m.Destination] = m
		}
		if m := got["/bound"]; m.Type != mount.TypeBind || m.Source != dir || m.RW {
			f.Errorf("bind mount: %+v", m)
		}
		if m := got["/kept"]; m.Type != mount.TypeVolume || m.Name != v || m.Driver != "local" || !m.RW {
			f.Errorf("volume: %+v", m)
		}
		if m := got["/anonymous"]; m.Type != mount.TypeVolume || len(m.Name) != 64 {
			f.Errorf("anonymous volume: %+v", m)
		}
	}},
	{"ports", func(f *fixture) {
		id := f.run(publish("8080/tcp", "127.0.0.1", ""))
		ports := f.inspect(id).NetworkSettings.Ports["8080/tcp"]
		if len(ports) != 1 || ports[0].HostIP != "127.0.0.1" || ports[0].HostPort == "" || ports[0].HostPort == "0" {
			f.Errorf("ports are %+v", ports)
		}
	}},
}

// publish publishes a port of the container's; an empty host port is chosen by the engine.
func publish(port nat.Port, hostIP, hostPort string) option {
	return func(c *engine.CreateConfig) {
		c.Config.ExposedPorts = nat.PortSet{port: {}}
		c.Host.PortBindings = nat.PortMap{port: {{HostIP: hostIP, HostPort: hostPort}}}
	}
}

func intersection(list []string, of ...string) []string {
	var out []string
	for _, a := range list {
		for _, b := range of {
			if a == b {
				out = append(out, a)
			}
		}
	}
	return out
}
