package enginetest

import (
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// whereHandedOver skips the cases on engines that do not say that they hand over.
func whereHandedOver(cases []testCase) []testCase {
	for i, c := range cases {
		cases[i].run = func(f *fixture) {
			v, err := f.Version(f.ctx)
			f.must(err)
			if !engine.HandsOver(v) {
				f.Skip("the engine hands nothing over")
			}
			c.run(f)
		}
	}
	return cases
}

// takingOver makes a container take another one's place.
func takingOver(id string) option {
	return config(func(c *container.Config) { c.Labels[engine.LabelTakesOver] = id })
}

// deaf keeps a server going after its stop signal, as one that finishes what it has begun. It prints "stopping" first.
func deaf(text string) option {
	return sh("trap 'echo stopping; sleep 1000' TERM; mkdir -p /www && echo " + text +
		" > /www/index.html && httpd -p 8080 -h /www && echo ready; sleep 1000 & wait")
}

// succession is a server on a published port and one that is to take its place, both running.
type succession struct {
	*fixture
	port      string
	old, next string
}

func (f *fixture) succession(old option) *succession {
	f.Helper()
	s := &succession{fixture: f, port: f.freePort()}
	s.old = f.run(old, s.published())
	f.awaitOutput(s.old, "ready")
	s.next = f.serve("new", s.published(), takingOver(s.old))
	s.answers("old")
	s.has(s.old, true)
	s.has(s.next, false)
	return s
}

func (s *succession) published() option { return publish("8080/tcp", "127.0.0.1", s.port) }

// answers checks who is behind the port.
func (s *succession) answers(want string) {
	s.Helper()
	if got, err := s.get("127.0.0.1:" + s.port); err != nil || got != want+"\n" {
		s.Errorf("the port answers %q, %v, want %q", got, err, want)
	}
}

// has checks who is said to have the port.
func (s *succession) has(id string, want bool) {
	s.Helper()
	if bindings := s.inspect(id).NetworkSettings.Ports["8080/tcp"]; (len(bindings) > 0) != want {
		s.Errorf("inspect tells the bindings %v, want some: %t", bindings, want)
	}
	list, err := s.ContainerList(s.ctx, container.ListOptions{})
	s.must(err)
	for _, c := range list {
		if c.ID == id && (len(c.Ports) != 1 || (c.Ports[0].PublicPort != 0) != want) {
			s.Errorf("the list tells the ports %+v, want a published one: %t", c.Ports, want)
		}
	}
}

// passed checks that the new one has taken over.
func (s *succession) passed() {
	s.Helper()
	s.answers("new")
	s.has(s.next, true)
}

var handoverCases = []testCase{
	{"a stopped container's port is its successor's", func(f *fixture) {
		s := f.succession(server("old"))
		f.must(f.ContainerStop(f.ctx, s.old, zeroTimeout()))
		s.passed()
	}},
	{"as soon as the stop begins", func(f *fixture) {
		s := f.succession(deaf("old"))
		stopped := make(chan error, 1)
		go func() { stopped <- f.ContainerStop(f.ctx, s.old, container.StopOptions{}) }()
		f.awaitOutput(s.old, "stopping")
		s.passed()
		s.has(s.old, false)
		f.must(f.ContainerKill(f.ctx, s.old, "KILL"))
		f.must(<-stopped)
		s.passed()
	}},
	{"when it is killed", func(f *fixture) {
		s := f.succession(server("old"))
		f.must(f.ContainerKill(f.ctx, s.old, "KILL"))
		f.wait(s.old, container.WaitConditionNotRunning)
		s.passed()
	}},
	{"when it dies", func(f *fixture) {
		s := f.succession(sh("trap 'exit 3' HUP; mkdir -p /www && echo old > /www/index.html && httpd -p 8080 -h /www && echo ready; sleep 1000 & wait"))
		f.must(f.ContainerKill(f.ctx, s.old, "HUP"))
		f.wait(s.old, container.WaitConditionNotRunning)
		s.passed()
	}},
	{"when it is removed", func(f *fixture) {
		s := f.succession(server("old"))
		f.must(f.ContainerRemove(f.ctx, s.old, container.RemoveOptions{Force: true}))
		s.passed()
	}},
	{"a successor that ends first changes nothing", func(f *fixture) {
		s := f.succession(server("old"))
		f.must(f.ContainerStop(f.ctx, s.next, zeroTimeout()))
		s.answers("old")
		s.has(s.old, true)
		f.must(f.ContainerStart(f.ctx, s.next))
		s.has(s.next, false)
		f.must(f.ContainerRemove(f.ctx, s.next, container.RemoveOptions{Force: true}))
		s.answers("old")
		f.must(f.ContainerStop(f.ctx, s.old, zeroTimeout()))
		f.run(s.published()) // the port is free now
	}},
	{"one that starts while the other stops", func(f *fixture) {
		port := f.freePort()
		s := &succession{fixture: f, port: port}
		s.old = f.run(deaf("old"), s.published())
		f.awaitOutput(s.old, "ready")
		stopped := make(chan error, 1)
		go func() { stopped <- f.ContainerStop(f.ctx, s.old, container.StopOptions{}) }()
		f.awaitOutput(s.old, "stopping")
		s.next = f.serve("new", s.published(), takingOver(s.old))
		s.passed()
		f.must(f.ContainerKill(f.ctx, s.old, "KILL"))
		f.must(<-stopped)
		s.passed()
	}},
	{"nobody else gets the port", func(f *fixture) {
		s := f.succession(server("old"))
		for what, opts := range map[string][]option{
			"one that takes nobody's place":      {s.published()},
			"one that takes the successor's":     {s.published(), takingOver(s.next)},
			"a second one for the same":          {s.published(), takingOver(s.old)},
			"one of a container that is not":     {s.published(), takingOver(strings.Repeat("0", 64))},
			"one at all addresses, likewise":     {publish("8080/tcp", "", s.port), takingOver(s.old)},
			"one that names it by half of an ID": {s.published(), takingOver(s.old[:32])},
		} {
			f.wantKind(what, f.ContainerStart(f.ctx, f.create(opts...)), engine.ErrConflict)
		}
		s.answers("old")
		f.must(f.ContainerStop(f.ctx, s.old, zeroTimeout()))
		s.passed()
	}},
	{"the old one can be started again beside its successor", func(f *fixture) {
		s := f.succession(server("old"))
		f.must(f.ContainerStop(f.ctx, s.old, zeroTimeout()))
		s.passed()
		f.must(f.ContainerStart(f.ctx, s.old))
		s.has(s.old, false)
		s.passed()
		f.must(f.ContainerStop(f.ctx, s.next, zeroTimeout()))
		s.has(s.old, true)
		for f.exec(s.old, "wget -q -O - http://127.0.0.1:8080/").code != 0 { // it has just been started
		}
		s.answers("old")
	}},
	{"a range passes port by port", func(f *fixture) {
		port := f.freePort()
		ports := publish("8080/tcp", "127.0.0.1", port+"-"+port)
		old := f.run(ports)
		next := f.run(ports, takingOver(old))
		f.must(f.ContainerStop(f.ctx, old, zeroTimeout()))
		if b := f.inspect(next).NetworkSettings.Ports["8080/tcp"]; len(b) != 1 || b[0].HostPort != port {
			f.Errorf("the bindings are %v", b)
		}
	}},
	{"ports that nobody has are there at once", func(f *fixture) {
		s := f.succession(server("old"))
		more := f.freePort()
		f.must(f.ContainerRemove(f.ctx, s.next, container.RemoveOptions{Force: true}))
		s.next = f.run(s.published(), takingOver(s.old), host(func(h *container.HostConfig) {
			h.PortBindings["8081/tcp"] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: more}}
		}))
		ports := f.inspect(s.next).NetworkSettings.Ports
		if len(ports["8080/tcp"]) != 0 || len(ports["8081/tcp"]) != 1 {
			f.Errorf("the ports are %v", ports)
		}
	}},
	{"a name is answered for by those that serve", func(f *fixture) {
		net, _ := f.network()
		named := on(net, &network.EndpointSettings{Aliases: []string{"web"}})
		old := f.run(named, deaf("old"))
		f.awaitOutput(old, "ready")
		next := f.create(named, takingOver(old), server("new"), checked(container.HealthConfig{
			Test: []string{"CMD", "test", "-f", "/tmp/fine"}, Interval: 50 * time.Millisecond, Retries: 1000,
		}))
		changes, errs := f.healthEvents(next)
		f.must(f.ContainerStart(f.ctx, next))
		client := f.run(on(net, nil))
		address := func(id string) string { return f.inspect(id).NetworkSettings.Networks[net].IPAddress }
		first, second := address(old), address(next)
		told := func(when string, want ...string) {
			f.Helper()
			r := f.exec(client, "nslookup web")
			for _, a := range []string{first, second} {
				if there := strings.Contains(r.stdout, a); there != slices.Contains(want, a) {
					f.Errorf("%s: %v; want %v", when, r, want)
				}
			}
		}
		told("before the successor is healthy", first)
		f.exec(next, "touch /tmp/fine")
		f.nextEvent(changes, errs)
		told("when it is", first, second)
		stopped := make(chan error, 1)
		go func() { stopped <- f.ContainerStop(f.ctx, old, container.StopOptions{}) }()
		f.awaitOutput(old, "stopping")
		told("when the other one stops", second)
		f.must(f.ContainerKill(f.ctx, old, "KILL"))
		f.must(<-stopped)
		told("when it has stopped", second)
	}},
	{"a name without anybody better is answered for all the same", func(f *fixture) {
		net, _ := f.network()
		named := on(net, &network.EndpointSettings{Aliases: []string{"web"}})
		client := f.run(on(net, nil))
		only := f.run(named, takingOver(strings.Repeat("0", 64)), deaf("only"), checked(container.HealthConfig{
			Test: []string{"CMD", "false"}, Interval: 50 * time.Millisecond, Retries: 1000,
		}))
		f.awaitOutput(only, "ready")
		if r := f.exec(client, "nslookup web"); r.code != 0 {
			f.Errorf("while it starts: %v", r)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- f.ContainerStop(f.ctx, only, container.StopOptions{}) }()
		f.awaitOutput(only, "stopping")
		if r := f.exec(client, "nslookup web"); r.code != 0 {
			f.Errorf("while it stops: %v", r)
		}
		f.must(f.ContainerKill(f.ctx, only, "KILL"))
		f.must(<-stopped)
	}},
}
