// Package drain reads pipes and terminals whose writer may go away without closing them, because somebody else has them
// open too.
package drain

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// Pipe is one that is read.
type Pipe struct {
	file  *os.File
	ended atomic.Bool
	last  atomic.Bool // what is there after the end was looked for
}

// New reads from a file that does not block and that the network poller knows. Nobody else may read from it.
func New(file *os.File) *Pipe { return &Pipe{file: file} }

// File makes one that New takes of any open file, which it owns.
func File(f *os.File) (*os.File, error) {
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	cerr := raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), true) })
	if err := errors.Join(cerr, err); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return protocol.Duplicate(f) // the copy is made known to the poller because it does not block
}

// buffers are shared by all pipes: one that has nothing to read needs none.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Copy hands on what is read, until the last writer has closed the pipe or, after End, until it is empty. Whenever it
// has become empty, idle is called. The chunk is valid during the call only.
func (p *Pipe) Copy(handle func(chunk []byte), idle func()) {
	raw, err := p.file.SyscallConn()
	if err != nil {
		return
	}
	wait := raw.Read
	for {
		buf, n, more := p.read(wait, idle)
		if n > 0 {
			handle((*buf)[:n])
			buffers.Put(buf)
		}
		switch {
		case more:
		case p.ended.Load() && n == 0 && !p.last.Swap(true): // perhaps woken by End: look once more
			wait = func(f func(uintptr) bool) error { return raw.Control(func(fd uintptr) { f(fd) }) }
		default:
			idle()
			return
		}
	}
}

// read reads one chunk, waiting for it the way that wait does. more is false at the end of the stream.
func (p *Pipe) read(wait func(func(fd uintptr) bool) error, idle func()) (buf *[]byte, n int, more bool) {
	err := wait(func(fd uintptr) bool {
		b := buffers.Get().(*[]byte)
		got, err := unix.Read(int(fd), *b)
		if err == nil && got > 0 {
			buf, n, more = b, got, true
			return true
		}
		buffers.Put(b)
		switch {
		case errors.Is(err, unix.EINTR):
			more = true
			return true
		case errors.Is(err, unix.EAGAIN):
			idle()
			return p.ended.Load()
		}
		return true // the end; a terminal says EIO when its other side is closed
	})
	return buf, n, more && err == nil
}

// End makes Copy stop when the pipe is empty, although others may have it open.
func (p *Pipe) End() {
	p.ended.Store(true)
	_ = p.file.SetReadDeadline(time.Unix(1, 0))
}
