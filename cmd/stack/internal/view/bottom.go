package view

import (
	"bytes"
	"io"
	"sync"
)

// eraseLine goes to the beginning of the terminal's line and empties it.
const eraseLine = "\r\x1b[K"

// Bottom keeps one line of a terminal below everything that is written through its writers.
type Bottom struct {
	mu    sync.Mutex
	out   io.Writer
	line  string
	shown bool
	begun bool // the last thing written was no whole line: there is no room below it yet
}

// NewBottom is for the terminal behind out. It shows nothing yet.
func NewBottom(out io.Writer) *Bottom { return &Bottom{out: out} }

// Show shows the line from now on, as much of it as there is room for. An empty line takes it away for good.
func (b *Bottom) Show(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	width, _ := size(b.out)
	b.line = line[:min(len(line), width-1)]
	b.draw()
}

func (b *Bottom) erase() {
	if b.shown {
		_, _ = io.WriteString(b.out, eraseLine)
		b.shown = false
	}
}

func (b *Bottom) draw() {
	if b.line != "" && !b.begun {
		_, _ = io.WriteString(b.out, b.line)
		b.shown = true
	}
}

// Above is w, a stream of the same terminal, for what is to stand above the line.
func (b *Bottom) Above(w io.Writer) io.Writer { return &above{b, w} }

type above struct {
	bottom *Bottom
	io.Writer
}

// Write implements io.Writer.
func (a *above) Write(data []byte) (int, error) {
	b := a.bottom
	b.mu.Lock()
	defer b.mu.Unlock()
	b.erase()
	n, err := a.Writer.Write(data)
	if len(data) > 0 {
		b.begun = !bytes.HasSuffix(data, []byte("\n"))
	}
	b.draw()
	return n, err
}

// behind is the stream itself where a writer stands before it.
func behind(w any) any {
	if a, ok := w.(*above); ok {
		return behind(a.Writer)
	}
	return w
}
