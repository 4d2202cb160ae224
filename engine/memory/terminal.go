package memory

import (
	"bytes"
	"io"
	"sync"
)

// terminal is the line discipline between who types and a process: it echoes, hands over whole lines, and turns
// newlines into what a screen needs.
type terminal struct {
	mu            sync.Mutex
	screen        io.Writer
	line          []byte
	input         *pipe // to the process
	width, height uint
}

func newTerminal(screen io.Writer, input *pipe) *terminal {
	return &terminal{screen: screen, input: input}
}

// Write implements io.Writer for the process's output.
func (t *terminal) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := t.screen.Write(bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(data), nil
}

// typed takes what was typed. Ctrl-D on an empty line ends the input.
func (t *terminal) typed(keys []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		switch {
		case key == 4 && len(t.line) == 0:
			t.input.close()
		case key == '\r' || key == '\n':
			_, _ = t.screen.Write([]byte("\r\n"))
			t.input.push(append(t.line, '\n'))
			t.line = nil
		default:
			_, _ = t.screen.Write([]byte{key})
			t.line = append(t.line, key)
		}
	}
}

func (t *terminal) resize(width, height uint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.width, t.height = width, height
}

func (t *terminal) size() (height, width uint) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.height, t.width
}

// pipe is a queue of bytes without a limit. Closing it ends its reader after what is in it.
type pipe struct {
	mu      sync.Mutex
	data    []byte
	closed  bool
	changed chan struct{} // closed and replaced with every change
}

func newPipe() *pipe { return &pipe{changed: make(chan struct{})} }

func (p *pipe) push(data []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.data = append(p.data, data...)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.changed)
}

// Write implements io.Writer.
func (p *pipe) Write(data []byte) (int, error) {
	p.push(data)
	return len(data), nil
}

// Read implements io.Reader.
func (p *pipe) Read(buf []byte) (int, error) {
	for {
		p.mu.Lock()
		if len(p.data) > 0 {
			n := copy(buf, p.data)
			p.data = p.data[n:]
			p.mu.Unlock()
			return n, nil
		}
		if p.closed {
			p.mu.Unlock()
			return 0, io.EOF
		}
		changed := p.changed
		p.mu.Unlock()
		<-changed
	}
}
