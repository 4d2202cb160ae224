package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// errLost says that a shim died, or replaced its engine, before it answered.
var errLost = engine.Errorf(engine.ErrUnavailable, "the shim does not answer")

// errUnsent says that the shim was dead before it got the request, which can be sent to its successor.
var errUnsent = fmt.Errorf("%w: it has just died", errLost)

// client speaks to one shim.
type client struct {
	conn    *protocol.Conn
	onEvent func(protocol.Message)
	lost    chan struct{} // closed when the connection is gone

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]chan<- reply
}

type reply struct {
	message protocol.Message
	files   []*os.File
}

func newClient(conn *protocol.Conn, onEvent func(protocol.Message)) *client {
	c := &client{conn: conn, onEvent: onEvent, lost: make(chan struct{}), waiting: map[uint64]chan<- reply{}}
	go c.receive()
	return c
}

func (c *client) receive() {
	for {
		m, files, err := c.conn.Receive()
		if err != nil {
			break
		}
		if m.Number == 0 {
			protocol.CloseAll(files)
			c.onEvent(m)
			continue
		}
		c.mu.Lock()
		ch := c.waiting[m.Number]
		delete(c.waiting, m.Number)
		c.mu.Unlock()
		if ch == nil {
			protocol.CloseAll(files)
			continue
		}
		ch <- reply{m, files}
	}
	c.conn.Close()
	close(c.lost)
}

// call sends a request and waits for its reply. answer, if not nil, is filled with the body. The files are the caller's.
func (c *client) call(method protocol.Method, body, answer any, send ...*os.File) ([]*os.File, error) {
	raw, err := protocol.Encode(body)
	if err != nil {
		return nil, err
	}
	ch := make(chan reply, 1)
	c.mu.Lock()
	c.number++
	number := c.number
	c.waiting[number] = ch
	c.mu.Unlock()
	if err := c.conn.Send(protocol.Message{Number: number, Method: method, Body: raw}, send...); err != nil {
		c.mu.Lock()
		delete(c.waiting, number)
		c.mu.Unlock()
		return nil, c.unsent(err)
	}
	var r reply
	select {
	case r = <-ch:
	case <-c.lost:
		select { // the reply may have come before the end
		case r = <-ch:
		default:
			return nil, errLost
		}
	}
	if e := r.message.Error; e != nil {
		protocol.CloseAll(r.files)
		return nil, engineError(e)
	}
	if answer != nil {
		if err := json.Unmarshal(r.message.Body, answer); err != nil {
			protocol.CloseAll(r.files)
			return nil, fmt.Errorf("cannot understand the shim's answer to %s: %w", method, err)
		}
	}
	return r.files, nil
}

// unsent explains why a request could not be sent: because the shim is dead, or because of the request.
func (c *client) unsent(err error) error {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return errUnsent
	}
	return fmt.Errorf("cannot ask the shim: %w", err)
}

var kinds = map[protocol.ErrorKind]error{
	protocol.NotFound: engine.ErrNotFound, protocol.Conflict: engine.ErrConflict, protocol.Invalid: engine.ErrInvalid,
	protocol.Missing: engine.ErrUnsupported,
}

func engineError(e *protocol.Error) error {
	if e.Kind == protocol.NoStart {
		return &StartError{Code: e.Code, Text: e.Text}
	}
	kind := kinds[e.Kind]
	if kind == nil {
		kind = engine.ErrInternal
	}
	return engine.Errorf(kind, "%s", e.Text)
}

// isLost tells whether the shim, rather than the request, is to blame.
func isLost(err error) bool { return errors.Is(err, errLost) }
