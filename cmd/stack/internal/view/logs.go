package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Logs prints the lines of several containers, each after its container's name.
type Logs struct {
	Out        io.Writer
	Style      Style
	NoPrefix   bool
	Timestamps bool

	mu      sync.Mutex
	width   int
	colours map[string]string
	pending map[string][]byte // beginnings of lines that go on, by container and stream
}

// prefixColours are given to containers in turn.
var prefixColours = []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}

// To sends what follows to another writer.
func (l *Logs) To(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Out = w
}

// Add announces a container, so that prefixes are aligned and colours are given out in a fixed order.
func (l *Logs) Add(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(name)
}

func (l *Logs) add(name string) {
	if l.colours == nil {
		l.colours, l.pending = map[string]string{}, map[string][]byte{}
	}
	if _, ok := l.colours[name]; !ok {
		l.colours[name] = prefixColours[len(l.colours)%len(prefixColours)]
	}
	l.width = max(l.width, len(name))
}

// Line prints what a container wrote: a whole line, or part of one if it does not end with a newline.
func (l *Logs) Line(name, stream string, at time.Time, line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(name)
	key := name + "\x00" + stream
	if !bytes.HasSuffix(line, []byte("\n")) {
		l.pending[key] = append(l.pending[key], line...)
		return
	}
	if begun := l.pending[key]; len(begun) > 0 {
		line = append(begun, line...)
		delete(l.pending, key)
	}
	l.print(name, at, line)
}

// End prints the line that a container began and did not end.
func (l *Logs) End(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, stream := range []string{"stdout", "stderr"} {
		key := name + "\x00" + stream
		if begun := l.pending[key]; len(begun) > 0 {
			delete(l.pending, key)
			l.print(name, time.Now(), append(begun, '\n'))
		}
	}
}

// Note prints a line about a container, such as how it ended.
func (l *Logs) Note(name, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(name)
	fmt.Fprintf(l.Out, "%s %s\n", l.Style.paint(l.colours[name], name), text)
}

func (l *Logs) print(name string, at time.Time, line []byte) {
	var b bytes.Buffer
	if !l.NoPrefix {
		b.WriteString(l.Style.paint(l.colours[name], name+strings.Repeat(" ", l.width-len(name))+"  | "))
	}
	if l.Timestamps {
		b.WriteString(at.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " ")
	}
	b.Write(line)
	_, _ = l.Out.Write(b.Bytes())
}
