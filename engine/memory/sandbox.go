package memory

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// firstHostPort is where the choice of a free host port begins.
const firstHostPort = 32768

// sandbox is a container's network: who listens on which port.
type sandbox struct {
	owner *ctr

	mu        sync.Mutex
	listeners map[int]func(net.Conn)
	shared    *sandbox // of the container whose network this one uses
}

// share makes a sandbox that is another container's.
func (s *sandbox) share(owner *ctr) *sandbox { return &sandbox{owner: owner, shared: s} }

// close ends the listeners with their container.
func (s *sandbox) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = nil
}

func (s *sandbox) listen(port int, serve func(net.Conn)) error {
	if s.shared != nil {
		return s.shared.listen(port, serve)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners[port] != nil {
		return errors.New("bind: address in use")
	}
	if s.listeners == nil {
		s.listeners = map[int]func(net.Conn){}
	}
	s.listeners[port] = serve
	return nil
}

// dial connects to a listener of the sandbox.
func (s *sandbox) dial(port int) (net.Conn, error) {
	if s.shared != nil {
		return s.shared.dial(port)
	}
	s.mu.Lock()
	serve := s.listeners[port]
	s.mu.Unlock()
	if serve == nil {
		return nil, syscall.ECONNREFUSED
	}
	near, far := net.Pipe()
	go serve(far)
	return near, nil
}

// resolve finds the addresses of a name as a container sees it.
func (e *Engine) resolve(from *ctr, name string) []netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}
	}
	var found []netip.Addr
	for _, mine := range from.endpoints {
		if !container.NetworkMode(mine.network.name).IsUserDefined() {
			continue
		}
		var called []*ctr
		for _, c := range e.containers {
			if ep := c.endpointOn(mine.network); ep != nil && c.run != nil && (c.isCalled(name, ep) || c.isLinked(name, mine)) {
				called = append(called, c)
			}
		}
		for _, c := range best(called) {
			found = append(found, c.endpointOn(mine.network).address)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return found
}

func (c *ctr) isCalled(name string, ep *endpoint) bool {
	name = strings.ToLower(name)
	return strings.ToLower(c.name) == name || c.id[:12] == name ||
		slices.ContainsFunc(ep.settings.Aliases, func(alias string) bool { return strings.ToLower(alias) == name })
}

// isLinked says that whoever has the endpoint calls the container so.
func (c *ctr) isLinked(name string, from *endpoint) bool {
	return slices.ContainsFunc(from.settings.Links, func(link string) bool { return strings.EqualFold(link, c.name+":"+name) })
}

// connect dials as a container does.
func (p *Process) connect(host string, port int) (net.Conn, error) {
	if host == "localhost" || host == "127.0.0.1" {
		return p.box.dial(port)
	}
	addresses := p.engine.resolve(p.box.owner, host)
	if len(addresses) == 0 {
		return nil, fmt.Errorf("bad address '%s'", host)
	}
	box := p.engine.reachable(p.box.owner, addresses[0])
	if box == nil {
		return nil, errors.New("can't connect to remote host: connection timed out")
	}
	return box.dial(port)
}

// reachable finds the sandbox that has the address on a network which the container is on.
func (e *Engine) reachable(from *ctr, address netip.Addr) *sandbox {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ep := range from.endpoints {
		if c := ep.network.used[address]; c != nil && c.run != nil {
			return c.run.box
		}
	}
	return nil
}

// hostPort is a port of the host. The zero address is all of them.
type hostPort struct {
	proto string
	ip    netip.Addr
	port  int
}

// publish takes the host ports of a container that is started.
func (e *Engine) publish(c *ctr) error {
	c.published, c.handover = nat.PortMap{}, handover{}
	for _, port := range slices.Sorted(maps.Keys(c.host.PortBindings)) {
		for _, b := range c.host.PortBindings[port] {
			if err := e.takePort(c, port, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// takePort publishes the port, now or when another container makes way.
func (e *Engine) takePort(c *ctr, port nat.Port, b nat.PortBinding) error {
	fail := func(kind error, format string, args ...any) error {
		return engine.Errorf(kind, "cannot start container "+c.name+": "+format, args...)
	}
	wanted := hostPort{proto: port.Proto()}
	if b.HostIP != "" && b.HostIP != "0.0.0.0" {
		ip, err := netip.ParseAddr(b.HostIP)
		if err != nil {
			return fail(engine.ErrInvalid, "invalid host address %q", b.HostIP)
		}
		wanted.ip = ip
	}
	if b.HostIP == "" {
		b.HostIP = "0.0.0.0"
	}
	low, high, err := nat.ParsePortRangeToInt(first(b.HostPort, "0"))
	if err != nil {
		return fail(engine.ErrInvalid, "invalid host port %q", b.HostPort)
	}
	switch {
	case low == 0:
		low, high = firstHostPort, 65535
	case e.promise(c, wanted, low, high, port, b):
		return nil
	}
	for wanted.port = low; wanted.port <= high; wanted.port++ {
		if !e.portTaken(wanted) {
			e.ports[wanted] = c
			b.HostPort = strconv.Itoa(wanted.port)
			c.published[port] = append(c.published[port], b)
			return nil
		}
	}
	return fail(engine.ErrConflict, "port %s is already allocated", b.HostPort)
}

func (e *Engine) portTaken(wanted hostPort) bool {
	for p := range e.ports {
		if p.overlaps(wanted) {
			return true
		}
	}
	return false
}

// Dial connects to a published port as a program on the host would.
func (e *Engine) Dial(_ context.Context, netw, addr string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: netw, Err: syscall.ECONNREFUSED}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: netw, Err: err}
	}
	box, port := e.behind(to)
	if box == nil {
		return nil, refused
	}
	conn, err := box.dial(port)
	if err != nil {
		return nil, refused
	}
	return conn, nil
}

// behind finds the container's port that is published at an address.
func (e *Engine) behind(to netip.AddrPort) (*sandbox, int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p, c := range e.ports {
		if p.proto != "tcp" || p.port != int(to.Port()) || p.ip.IsValid() && p.ip != to.Addr() || c.run == nil {
			continue
		}
		for port, bindings := range c.published {
			for _, b := range bindings {
				if b.HostPort == strconv.Itoa(p.port) && port.Proto() == "tcp" {
					return c.run.box, port.Int()
				}
			}
		}
	}
	return nil, 0
}

// runHTTPD serves files: httpd [-f] -p PORT -h DIRECTORY.
func runHTTPD(p *Process) int {
	port, dir, foreground := 80, "/", false
	for i, arg := range p.Args {
		switch {
		case arg == "-f":
			foreground = true
		case arg == "-p" && i+1 < len(p.Args):
			port, _ = strconv.Atoi(p.Args[i+1])
		case arg == "-h" && i+1 < len(p.Args):
			dir = p.path(p.Args[i+1])
		}
	}
	if err := p.box.listen(port, func(conn net.Conn) { serveFiles(conn, p.files, dir) }); err != nil {
		return p.failed(err)
	}
	if foreground {
		<-p.Killed
	}
	return 0
}

// serveFiles answers one request.
func serveFiles(conn net.Conn, files *vfs, dir string) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	name := req.URL.Path
	if strings.HasSuffix(name, "/") {
		name += "index.html"
	}
	status, content := http.StatusOK, []byte(nil)
	if n, _, err := files.stat(path.Join(dir, name)); err != nil {
		status = http.StatusNotFound
	} else {
		content = n.data
	}
	resp := http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: req, Close: true,
		ContentLength: int64(len(content)), Body: io.NopCloser(strings.NewReader(string(content))),
	}
	_ = resp.Write(conn)
}

// runWget prints what an http:// address has: wget [options] URL.
func runWget(p *Process) int {
	at, err := url.Parse(p.Args[len(p.Args)-1])
	if err != nil {
		return p.failed(err)
	}
	port := 80
	if at.Port() != "" {
		port, _ = strconv.Atoi(at.Port())
	}
	conn, err := p.connect(at.Hostname(), port)
	if err != nil {
		return p.failed(err)
	}
	defer conn.Close()
	req := &http.Request{Method: http.MethodGet, URL: at, Host: at.Host}
	if err := req.Write(conn); err != nil {
		return p.failed(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return p.failed(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return p.failed(errors.New("server returned error: HTTP/1.1 " + strconv.Itoa(resp.StatusCode)))
	}
	if _, err := io.Copy(p.Stdout, resp.Body); err != nil {
		return p.failed(err)
	}
	return 0
}

// runNslookup prints the addresses of a name.
func runNslookup(p *Process) int {
	name := p.Args[len(p.Args)-1]
	found := p.engine.resolve(p.box.owner, name)
	if len(found) == 0 {
		return p.failed(fmt.Errorf("can't resolve '%s'", name))
	}
	for _, a := range found {
		p.print("Name: " + name + "\nAddress: " + a.String())
	}
	return 0
}
