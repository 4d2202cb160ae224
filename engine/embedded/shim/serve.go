package shim

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// conn is a connection to an engine.
type conn struct {
	*protocol.Conn
	greeted bool // events are wanted; guarded by Shim.mu

	working sync.WaitGroup // requests that are being carried out
	over    chan struct{}  // closed when the other side is gone and its last request was carried out

	mu     sync.Mutex
	closed bool
	bound  map[string]*container // end with the connection
}

func (s *Shim) accept(l *net.UnixListener) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		s.serve(protocol.NewConn(c))
	}
}

// serve answers a connection's requests until it ends.
func (s *Shim) serve(pc *protocol.Conn) {
	c := &conn{Conn: pc, bound: map[string]*container{}, over: make(chan struct{})}
	s.mu.Lock()
	if s.quitting {
		s.mu.Unlock()
		pc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go func() {
		s.receive(c)
		pc.Close()
		c.working.Wait()
		close(c.over)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.endBound(c)
		s.maybeQuit()
	}()
}

func (s *Shim) receive(c *conn) {
	for {
		m, files, err := c.Receive()
		if err != nil {
			return
		}
		if m.Method == protocol.MethodHello {
			s.answer(c, m, files) // in order, because what happens next must be told
			continue
		}
		c.working.Go(func() { s.answer(c, m, files) })
	}
}

// inherit waits until what earlier engines asked for is done, so that the next one sees what became of it. Engines that
// are still there are not waited for: they would not end.
func (s *Shim) inherit(heir *conn) {
	s.mu.Lock()
	var others []*conn
	for c := range s.conns {
		if c != heir && c.HungUp() {
			others = append(others, c)
		}
	}
	s.mu.Unlock()
	for _, c := range others {
		<-c.over
	}
}

func (s *Shim) answer(c *conn, m protocol.Message, files []*os.File) {
	reply, out, err := s.call(c, m, files)
	defer func() { protocol.CloseAll(out.files) }()
	answer := protocol.Message{Number: m.Number}
	if err == nil {
		answer.Body, err = protocol.Encode(reply)
	}
	if err != nil {
		answer.Error = wireError(err)
		protocol.CloseAll(out.files)
		out.files = nil
	}
	if err := c.Send(answer, out.files...); err != nil {
		// Either the connection is dead, which its reader notices, or the answer cannot be sent.
		_ = c.Send(protocol.Message{Number: m.Number, Error: wireError(err)})
	}
}

func wireError(err error) *protocol.Error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return &protocol.Error{Kind: e.Kind, Code: e.Code, Text: err.Error()}
	}
	return &protocol.Error{Kind: protocol.Internal, Text: err.Error()}
}

// attached are the files of a reply, copies of the shim's own: those may be closed at any moment.
type attached struct {
	roles []protocol.FileRole
	files []*os.File
}

// add attaches a file, unless it is nil or was closed.
func (a *attached) add(role protocol.FileRole, f *os.File) {
	if f == nil {
		return
	}
	if copied, err := protocol.Duplicate(f); err == nil {
		a.roles = append(a.roles, role)
		a.files = append(a.files, copied)
	}
}

// call carries out one request. It owns the files.
func (s *Shim) call(c *conn, m protocol.Message, files []*os.File) (reply any, out attached, err error) {
	switch m.Method {
	case protocol.MethodCreate, protocol.MethodExec, protocol.MethodAttach, protocol.MethodAdopt:
	default:
		protocol.CloseAll(files)
	}
	switch m.Method {
	case protocol.MethodHello:
		return s.hello(c), out, nil
	case protocol.MethodHold:
		return with(m, func(r protocol.Ref) (any, error) { return s.hold(r, &out) }, &out)
	case protocol.MethodAdopt:
		return with(m, func(r protocol.AdoptRequest) (any, error) { return s.adoptRequest(r, files) }, &out)
	case protocol.MethodCreate:
		return with(m, func(r protocol.CreateRequest) (any, error) { return s.create(c, &r, m.Body, files, &out) }, &out)
	case protocol.MethodExec:
		return with(m, func(r protocol.ExecRequest) (any, error) { return s.exec(r, files, &out) }, &out)
	case protocol.MethodAttach:
		return with(m, func(r protocol.AttachRequest) (any, error) { return nil, s.attach(r, files) }, &out)
	case protocol.MethodSignal:
		return with(m, func(r protocol.SignalRequest) (any, error) { return nil, s.signal(r) }, &out)
	case protocol.MethodUpdate:
		return with(m, func(r protocol.UpdateRequest) (any, error) { return nil, s.update(r) }, &out)
	case protocol.MethodSetNames:
		return with(m, func(r protocol.Names) (any, error) { return nil, s.names.Set(r) }, &out)
	case protocol.MethodSetNetworks:
		return with(m, func(r protocol.NetworksRequest) (any, error) { return nil, s.setNetworks(r) }, &out)
	case protocol.MethodSetPorts:
		return with(m, func(r protocol.PortsRequest) (any, error) { return nil, s.setPorts(r) }, &out)
	case protocol.MethodDelete:
		return with(m, func(r protocol.Ref) (any, error) { return nil, s.delete(r.ID) }, &out)
	}
	return with(m, func(r protocol.Ref) (any, error) {
		c, err := s.container(r.ID)
		if err != nil {
			return nil, err
		}
		return c.do(m.Method)
	}, &out)
}

// with decodes the request for its handler.
func with[T any](m protocol.Message, handle func(T) (any, error), out *attached) (any, attached, error) {
	var request T
	if err := json.Unmarshal(m.Body, &request); err != nil {
		return nil, *out, protocol.Errorf(protocol.Invalid, "cannot understand %s: %w", m.Method, err)
	}
	reply, err := handle(request)
	return reply, *out, err
}

// do carries out the requests that name a container and nothing else.
func (c *container) do(method protocol.Method) (any, error) {
	switch method {
	case protocol.MethodStart:
		return nil, c.start()
	case protocol.MethodPause:
		return nil, c.pause()
	case protocol.MethodResume:
		return nil, c.resume()
	case protocol.MethodCloseStdin:
		return nil, c.closeStdin()
	case protocol.MethodStats:
		return c.stats()
	case protocol.MethodPids:
		return c.pids()
	}
	return nil, protocol.Errorf(protocol.Missing, "this shim does not know %q", method)
}

func (s *Shim) hello(c *conn) protocol.HelloReply {
	s.inherit(c)
	s.adoptRest()
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := protocol.HelloReply{Version: protocol.Version, Pid: os.Getpid(), Group: s.cfg.Group}
	for _, ct := range s.containers {
		if state, ok := ct.state(); ok {
			reply.Containers = append(reply.Containers, state)
		}
	}
	c.greeted = true
	return reply
}

// endBound ends the containers whose life was tied to the connection.
func (s *Shim) endBound(c *conn) {
	c.mu.Lock()
	c.closed = true
	bound := c.bound
	c.bound = nil
	c.mu.Unlock()
	for id, ct := range bound {
		ct.kill()
		<-ct.done
		_ = s.delete(id) // if it fails the record stays, and says so
	}
}

// bind ties the container's life to the connection.
func (c *conn) bind(ct *container) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errors.New("the connection is gone")
	}
	c.bound[ct.id] = ct
	return nil
}

func (c *conn) unbind(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.bound, id)
}
