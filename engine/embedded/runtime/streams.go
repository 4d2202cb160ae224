package runtime

import (
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
	matched  int
	detached chan struct{}
	pending  []byte
}

func newKeyReader(in io.Reader, keys []byte) *keyReader {
	return &keyReader{in: in, keys: keys, detached: make(chan struct{})}
}

// Read holds back the beginning of the keys until it is clear that they are not typed.
func (k *keyReader) Read(p []byte) (int, error) {
	for {
		if len(k.pending) > 0 {
			n := copy(p, k.pending)
			k.pending = k.pending[n:]
			return n, nil
		}
		buf := make([]byte, len(p))
		n, err := k.in.Read(buf)
		for _, b := range buf[:n] {
			if k.match(b) {
				close(k.detached)
				return 0, io.EOF
			}
		}
		if err != nil && len(k.pending) == 0 {
			return 0, err
		}
	}
}

// match takes one byte. It returns true when the keys are complete.
func (k *keyReader) match(b byte) bool {
	if len(k.keys) == 0 {
		k.pending = append(k.pending, b)
		return false
	}
	if b != k.keys[k.matched] && k.matched > 0 {
		k.pending = append(k.pending, k.keys[:k.matched]...)
		k.matched = 0
	}
	if b != k.keys[k.matched] {
		k.pending = append(k.pending, b)
		return false
	}
	k.matched++
	return k.matched == len(k.keys)
}
