package enginetest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
)

// server answers on port 8080 with the given text. It listens when it has printed "ready".
func server(text string) option {
	return sh("mkdir -p /www && echo " + text + " > /www/index.html && httpd -p 8080 -h /www && echo ready && sleep 1000")
}

// serve runs a server and waits until it listens.
func (f *fixture) serve(text string, opts ...option) string {
	f.Helper()
	id := f.run(append([]option{server(text)}, opts...)...)
	f.awaitOutput(id, "ready")
	return id
}

// fetch asks a server from inside a container.
func (f *fixture) fetch(from, address string) result {
	f.Helper()
	return f.exec(from, "timeout 5 wget -q -O - http://"+address+":8080/")
}

var networkCases = []testCase{
	{"containers find each other by name and alias", func(f *fixture) {
		net, _ := f.network()
		id := f.serve("hello", on(net, &network.EndpointSettings{Aliases: []string{"db", "cache"}}))
		client := f.run(on(net, nil))
		name := strings.TrimPrefix(f.inspect(id).Name, "/")
		for _, address := range []string{name, id[:12], "db", "cache", f.inspect(id).NetworkSettings.Networks[net].IPAddress} {
			if r := f.fetch(client, address); r.stdout != "hello\n" {
				f.Errorf("asking %s: %v", address, r)
			}
		}
	}},
	{"one alias of several containers names all of them", func(f *fixture) {
		net, _ := f.network()
		var addresses []string
		for range 2 {
			id := f.run(on(net, &network.EndpointSettings{Aliases: []string{"web"}}))
			addresses = append(addresses, f.inspect(id).NetworkSettings.Networks[net].IPAddress)
		}
		r := f.exec(f.run(on(net, nil)), "nslookup web")
		for _, address := range addresses {
			if !strings.Contains(r.stdout, address) {
				f.Errorf("%s is not in %v", address, r)
			}
		}
	}},
	{"a stopped container is not found", func(f *fixture) {
		net, _ := f.network()
		id := f.run(on(net, &network.EndpointSettings{Aliases: []string{"db"}}))
		client := f.run(on(net, nil))
		if r := f.exec(client, "nslookup db"); r.code != 0 {
			f.Errorf("while it runs: %v", r)
		}
		f.must(f.ContainerKill(f.ctx, id, "KILL"))
		f.wait(id, "")
		if r := f.exec(client, "nslookup db"); r.code == 0 {
			f.Errorf("when it has stopped: %v", r)
		}
	}},
	{"on the default network names do not resolve", func(f *fixture) {
		name := strings.TrimPrefix(f.inspect(f.run()).Name, "/")
		if r := f.exec(f.run(), "nslookup "+name); r.code == 0 {
			f.Errorf("got %v", r)
		}
	}},
	{"networks are isolated from each other", func(f *fixture) {
		front, _ := f.network()
		back, _ := f.network()
		id := f.serve("secret", on(back, &network.EndpointSettings{Aliases: []string{"db"}}))
		stranger, both := f.run(on(front, nil)), f.run(on(front, nil))
		address := f.inspect(id).NetworkSettings.Networks[back].IPAddress
		if r := f.fetch(stranger, "db"); r.code == 0 {
			f.Errorf("by name: %v", r)
		}
		if r := f.fetch(stranger, address); r.code == 0 {
			f.Errorf("by address: %v", r)
		}
		f.must(f.NetworkConnect(f.ctx, back, both, nil))
		if r := f.fetch(both, "db"); r.stdout != "secret\n" {
			f.Errorf("from a container on both: %v", r)
		}
	}},
	{"static addresses", func(f *fixture) {
		net, subnet := f.network()
		id := f.run(on(net, &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: subnet + ".50"}}))
		if r := f.exec(f.run(on(net, nil)), "nslookup "+id[:12]); !strings.Contains(r.stdout, subnet+".50") {
			f.Errorf("got %v", r)
		}
		f.must(f.ContainerRestart(f.ctx, id, zeroTimeout()))
		if got := f.inspect(id).NetworkSettings.Networks[net].IPAddress; got != subnet+".50" {
			f.Errorf("after a restart it has %s", got)
		}
	}},
	{"connect and disconnect what runs", func(f *fixture) {
		net, _ := f.network()
		other, _ := f.network()
		id := f.serve("hello", on(other, nil))
		client := f.run(on(net, nil))
		if r := f.exec(client, "nslookup late"); r.code == 0 {
			f.Errorf("before: %v", r)
		}
		f.must(f.NetworkConnect(f.ctx, net, id, &network.EndpointSettings{Aliases: []string{"late"}}))
		if r := f.fetch(client, "late"); r.stdout != "hello\n" {
			f.Errorf("connected: %v", r)
		}
		address := f.inspect(id).NetworkSettings.Networks[net].IPAddress
		f.must(f.NetworkDisconnect(f.ctx, net, id, false))
		if r := f.fetch(client, "late"); r.code == 0 {
			f.Errorf("disconnected: %v", r)
		}
		if nets := f.inspect(id).NetworkSettings.Networks; len(nets) != 1 || nets[other] == nil {
			f.Errorf("it is on %v", nets)
		}
		f.run(on(net, &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}})) // free again
	}},
	{"connect what does not run yet", func(f *fixture) {
		net, _ := f.network()
		other, _ := f.network()
		id := f.create(server("hello"), on(other, nil))
		f.must(f.NetworkConnect(f.ctx, net, id, &network.EndpointSettings{Aliases: []string{"late"}}))
		f.must(f.ContainerStart(f.ctx, id))
		f.awaitOutput(id, "ready")
		if r := f.fetch(f.run(on(net, nil)), "late"); r.stdout != "hello\n" {
			f.Errorf("got %v", r)
		}
	}},
	{"connect again what was disconnected from its only network", func(f *fixture) {
		net, _ := f.network()
		client := f.run(on(net, nil))
		id := f.create(server("hello"), on(net, nil))
		f.must(f.NetworkDisconnect(f.ctx, net, id, false))
		f.must(f.NetworkConnect(f.ctx, net, id, &network.EndpointSettings{Aliases: []string{"again"}}))
		f.must(f.ContainerStart(f.ctx, id))
		f.awaitOutput(id, "ready")
		if r := f.fetch(client, "again"); r.stdout != "hello\n" {
			f.Errorf("before it ran: %v", r)
		}
		f.must(f.NetworkDisconnect(f.ctx, net, id, false))
		f.must(f.NetworkConnect(f.ctx, net, id, &network.EndpointSettings{Aliases: []string{"later"}}))
		f.must(f.ContainerRestart(f.ctx, id, zeroTimeout()))
		if r := f.exec(id, "nslookup later"); r.code != 0 {
			f.Errorf("while it ran: %v", r)
		}
	}},
	{"a network in use is not removed", func(f *fixture) {
		net, _ := f.network()
		id := f.run(on(net, nil))
		f.wantKind("remove", f.NetworkRemove(f.ctx, net), engine.ErrConflict)
		f.remove(id)
		f.must(f.NetworkRemove(f.ctx, net))
		_, err := f.NetworkInspect(f.ctx, net, network.InspectOptions{})
		f.wantKind("inspect", err, engine.ErrNotFound)
	}},
	{"the network tells its options", func(f *fixture) {
		name, subnet := f.name("n"), f.subnet()
		_, err := f.tryNetwork(name, network.CreateOptions{
			Driver: "bridge", Internal: true, Labels: map[string]string{"a": "b"},
			IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet + ".0/24", Gateway: subnet + ".254"}}},
		})
		f.must(err)
		n, err := f.NetworkInspect(f.ctx, name, network.InspectOptions{})
		f.must(err)
		if n.Driver != "bridge" || !n.Internal || n.Labels["a"] != "b" || n.Scope != "local" ||
			len(n.IPAM.Config) != 1 || n.IPAM.Config[0].Subnet != subnet+".0/24" || n.IPAM.Config[0].Gateway != subnet+".254" {
			f.Errorf("got %+v", n)
		}
	}},
	{"a subnet is chosen where none is given", func(f *fixture) {
		name := f.name("n")
		_, err := f.tryNetwork(name, network.CreateOptions{})
		f.must(err)
		n, err := f.NetworkInspect(f.ctx, name, network.InspectOptions{})
		f.must(err)
		if len(n.IPAM.Config) != 1 || n.IPAM.Config[0].Subnet == "" {
			f.Errorf("got %+v", n.IPAM)
		}
	}},
	{"without a network", func(f *fixture) {
		alone := host(func(h *container.HostConfig) { h.NetworkMode = "none" })
		id := f.run(alone)
		net, _ := f.network()
		for _, c := range []string{id, f.create(alone)} {
			f.wantKind("connect", f.NetworkConnect(f.ctx, net, c, nil), engine.ErrInvalid)
		}
		ep := f.inspect(id).NetworkSettings.Networks["none"]
		if ep == nil || ep.IPAddress != "" {
			f.Errorf("endpoint is %+v", ep)
		}
	}},
	{"in another container's network", func(f *fixture) {
		net, _ := f.network()
		id := f.serve("hello", on(net, nil))
		guest := f.run(host(func(h *container.HostConfig) { h.NetworkMode = container.NetworkMode("container:" + id) }))
		if r := f.fetch(guest, "127.0.0.1"); r.stdout != "hello\n" {
			f.Errorf("got %v", r)
		}
	}},
}

func zeroTimeout() container.StopOptions {
	var none int
	return container.StopOptions{Timeout: &none}
}

var portCases = []testCase{
	{"a published port answers on 127.0.0.1", func(f *fixture) {
		id := f.serve("hello", publish("8080/tcp", "127.0.0.1", ""))
		got, err := f.get("127.0.0.1:" + f.inspect(id).NetworkSettings.Ports["8080/tcp"][0].HostPort)
		f.must(err)
		if got != "hello\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"on every address where none is given", func(f *fixture) {
		net, _ := f.network()
		id := f.serve("hello", publish("8080/tcp", "", ""), on(net, nil))
		got, err := f.get("127.0.0.1:" + f.inspect(id).NetworkSettings.Ports["8080/tcp"][0].HostPort)
		f.must(err)
		if got != "hello\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"a port is taken once and free again afterwards", func(f *fixture) {
		port := f.freePort()
		id := f.run(publish("8080/tcp", "127.0.0.1", port))
		second := f.create(publish("8080/tcp", "127.0.0.1", port))
		f.wantKind("start", f.ContainerStart(f.ctx, second), engine.ErrConflict)
		if f.inspect(second).State.Running {
			f.Error("the second one runs")
		}
		f.must(f.ContainerKill(f.ctx, id, "KILL"))
		f.wait(id, "")
		f.must(f.ContainerStart(f.ctx, second))
	}},
	{"the summary tells them", func(f *fixture) {
		id := f.run(publish("8080/tcp", "127.0.0.1", ""))
		list, err := f.ContainerList(f.ctx, container.ListOptions{})
		f.must(err)
		for _, c := range list {
			if c.ID != id {
				continue
			}
			if len(c.Ports) != 1 || c.Ports[0].PrivatePort != 8080 || c.Ports[0].PublicPort == 0 || c.Ports[0].IP != "127.0.0.1" || c.Ports[0].Type != "tcp" {
				f.Errorf("ports are %+v", c.Ports)
			}
		}
	}},
}

// freePort finds a port of this host that nobody uses, below those that engines and kernels choose by themselves.
func (f *fixture) freePort() string {
	f.Helper()
	for {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			f.must(l.Close())
			return port
		}
		f.must(f.ctx.Err())
	}
}

// get asks a published port.
func (f *fixture) get(address string) (string, error) {
	client := http.Client{Transport: &http.Transport{DialContext: f.Dial, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(f.ctx, caseTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %s: %s", resp.Status, body)
	}
	return string(body), err
}
