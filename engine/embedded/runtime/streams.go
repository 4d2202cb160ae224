package runtime

import (
	"bytes"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/drain"
)

// pipe makes a pipe. The ends block, as programs expect of their streams.
func pipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"), nil
}

// pumps copy between a process's streams and the caller's.
type pumps struct {
	roles  []protocol.FileRole
	theirs []*os.File // ends that are sent away; then ours are the only ones here
	stdin  *os.File
	ours   []*os.File
	pipes  []*drain.Pipe
	sinks  []io.Writer
	copied sync.WaitGroup

	dropped atomic.Bool // nobody wants the output any more
}

// output prepares a pipe whose content is going to be copied to w, if there is a w.
func (p *pumps) output(role protocol.FileRole, w io.Writer) error {
	if w == nil {
		return nil
	}
	r, theirs, err := pipe()
	if err != nil {
		return err
	}
	p.roles, p.theirs = append(p.roles, role), append(p.theirs, theirs)
	return p.read(r, w)
}

// read prepares copying a file, which it owns, to w.
func (p *pumps) read(f *os.File, w io.Writer) error {
	ours, err := drain.File(f)
	if err != nil {
		return err
	}
	p.ours = append(p.ours, ours)
	p.pipes, p.sinks = append(p.pipes, drain.New(ours)), append(p.sinks, w)
	return nil
}

// input prepares a pipe that is going to be filled from in.
func (p *pumps) input(in io.Reader) error {
	if in == nil {
		return nil
	}
	theirs, w, err := pipe()
	if err != nil {
		return err
	}
	p.roles, p.theirs = append(p.roles, protocol.FileStdin), append(p.theirs, theirs)
	p.stdin, err = drain.File(w)
	return err
}

// sent closes the ends that another process has by now.
func (p *pumps) sent() {
	protocol.CloseAll(p.theirs)
	p.theirs = nil
}

// start begins to copy output. What cannot be written is dropped, so that the process does not notice.
func (p *pumps) start() {
	for i, pipe := range p.pipes {
		sink := p.sinks[i]
		p.copied.Go(func() {
			pipe.Copy(func(chunk []byte) {
				if sink == nil || p.dropped.Load() {
					return
				}
				if _, err := sink.Write(chunk); err != nil {
					sink = nil
				}
			}, func() {})
		})
	}
}

// abandon makes the copying go on without anybody who reads.
func (p *pumps) abandon() { p.dropped.Store(true) }

// end waits until everything that is in the pipes was copied.
func (p *pumps) end() {
	for _, pipe := range p.pipes {
		pipe.End()
	}
	p.copied.Wait()
}

func (p *pumps) close() {
	p.sent()
	protocol.CloseAll(p.ours)
	if p.stdin != nil {
		p.stdin.Close()
	}
}

// feed copies in to w until either ends, and then calls done. Nobody waits for it: reading from in cannot be
// interrupted.
func feed(w io.Writer, in io.Reader, done func()) {
	go func() {
		defer done()
		_, _ = io.Copy(w, in)
	}()
}

// keyReader ends the stream when the keys are typed.
type keyReader struct {
	in       io.Reader
	keys     []byte
	held     []byte // the beginning of the keys, typed, of which it is not clear yet whether the rest follows
	pending  []byte // to be read
	end      error
	detached chan struct{}
}

func newKeyReader(in io.Reader, keys []byte) *keyReader {
	return &keyReader{in: in, keys: keys, detached: make(chan struct{})}
}

func (k *keyReader) Read(p []byte) (int, error) {
	buf := make([]byte, len(p))
	for len(k.pending) == 0 {
		if k.end != nil {
			return 0, k.end
		}
		n, err := k.in.Read(buf)
		for _, b := range buf[:n] {
			if k.take(b) {
				close(k.detached)
				err = io.EOF
				break
			}
		}
		if err != nil {
			k.pending = append(k.pending, k.held...)
			k.end = err
		}
	}
	n := copy(p, k.pending)
	k.pending = k.pending[n:]
	return n, nil
}

// take takes one byte. It returns true when the keys are complete.
func (k *keyReader) take(b byte) bool {
	k.held = append(k.held, b)
	for !bytes.HasPrefix(k.keys, k.held) {
		k.pending = append(k.pending, k.held[0])
		k.held = k.held[1:]
	}
	if len(k.keys) == 0 || len(k.held) < len(k.keys) {
		return false
	}
	k.held = nil
	return true
}
