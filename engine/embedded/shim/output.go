package shim

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol/drain"
)

// output reads one stream of a container and hands it to the log and to whoever is attached.
type output struct {
	file *os.File // not blocking
	pipe *drain.Pipe
	done chan struct{} // closed when the last byte was handed on

	mu      sync.Mutex
	clients []*client
	ended   bool // the container is gone
	closed  bool // and everything was handed on
}

func newOutput(f *os.File) *output {
	return &output{file: f, pipe: drain.New(f), done: make(chan struct{})}
}

// run reads until the writers are gone, or until the container is and the pipe is empty. log may be nil. A full disk
// costs log lines, not the container.
func (o *output) run(stream io.WriteCloser, log Log) {
	defer close(o.done)
	defer o.closeClients()
	if stream == nil {
		o.pipe.Copy(o.deliver, func() {})
		return
	}
	o.pipe.Copy(func(chunk []byte) {
		_, _ = stream.Write(chunk)
		o.deliver(chunk)
	}, func() { _ = log.Flush() })
	_ = stream.Close() // writes the rest of an unfinished line
}

func (o *output) deliver(chunk []byte) {
	o.mu.Lock()
	clients := o.clients
	o.mu.Unlock()
	for _, c := range clients {
		if !c.write(chunk) {
			o.remove(c)
		}
	}
}

// patience is how long an attached client that wants every byte may still hold things up when the container is gone.
const patience = 2 * time.Second

// end makes run stop when the pipe is empty, although others may have it open.
func (o *output) end() {
	o.mu.Lock()
	o.ended = true
	for _, c := range o.clients {
		c.hurry()
	}
	o.mu.Unlock()
	o.pipe.End()
}

func (o *output) add(c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		c.hurry()
	}
	if o.closed {
		c.file.Close()
		return
	}
	o.clients = append(o.clients[:len(o.clients):len(o.clients)], c) // a copy: deliver works on the old one
}

func (o *output) remove(gone *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var rest []*client
	for _, c := range o.clients {
		if c != gone {
			rest = append(rest, c)
		}
	}
	o.clients = rest
	gone.file.Close()
}

// closeClients tells everybody that there is no more.
func (o *output) closeClients() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.clients {
		c.file.Close()
	}
	o.clients, o.closed = nil, true
}

// client is a pipe to somebody who is attached.
type client struct {
	file     *os.File
	lossless bool
	cutOff   func() // is told when the client was too slow
}

// backlog is how far a client may be behind: what its pipe holds, in bytes. The kernel may grant less.
const backlog = 1 << 20

func (c *client) prepare() error {
	f, err := drain.File(c.file)
	if err != nil {
		return err
	}
	c.file = f
	return c.control(func(fd int) error {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, backlog)
		return nil
	})
}

func (c *client) control(do func(fd int) error) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = do(int(fd)) })
	return errors.Join(cerr, err)
}

func (c *client) hurry() { _ = c.file.SetWriteDeadline(time.Now().Add(patience)) }

// write hands over a chunk. It returns false if the client is gone, or too slow to wait for.
func (c *client) write(chunk []byte) bool {
	if c.lossless {
		_, err := c.file.Write(chunk)
		return err == nil
	}
	n := 0
	err := c.control(func(fd int) (err error) {
		n, err = unix.Write(fd, chunk)
		return err
	})
	if errors.Is(err, unix.EAGAIN) || err == nil && n < len(chunk) {
		c.cutOff()
		return false
	}
	return err == nil
}
