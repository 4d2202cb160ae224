package buildkit

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
)

// tailLines is how many of a failing step's last lines are part of the error.
const tailLines = 20

// Printer turns what the solver tells into lines: "#5 [2/4] RUN make", "#5 0.231 cc main.c", "#5 DONE 1.2s". It
// remembers the end of each step's output for the error message.
type Printer struct {
	report engine.Progress
	quiet  bool

	mu       sync.Mutex
	vertexes map[digest.Digest]*vertex
	count    int
	last     int // the vertex that printed last; a change is marked with an empty line
}

// vertex is one step as far as it was printed.
type vertex struct {
	number  int
	name    string
	started time.Time
	done    bool
	partial []byte   // the begun line of output
	tail    []string // the last lines of output
	fetched map[string]bool
}

// NewPrinter reports the lines as Stream messages; a quiet one reports nothing and only remembers.
func NewPrinter(report engine.Progress, quiet bool) *Printer {
	return &Printer{report: report, quiet: quiet, vertexes: map[digest.Digest]*vertex{}}
}

// Update takes in the next of the solver's messages.
func (p *Printer) Update(s *client.SolveStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range s.Vertexes {
		e := p.note(v)
		if v.Started != nil && v.Completed == nil {
			p.announce(e)
		}
	}
	for _, st := range s.Statuses {
		p.status(st)
	}
	for _, l := range s.Logs {
		p.log(l)
	}
	for _, w := range s.Warnings {
		p.line(p.entry(w.Vertex), "WARN: "+string(w.Short))
	}
	for _, v := range s.Vertexes {
		p.end(v)
	}
}

// note remembers what a step is called and since when it runs. One that only waits is not printed.
func (p *Printer) note(v *client.Vertex) *vertex {
	e := p.entry(v.Digest)
	e.name = v.Name
	if v.Started != nil && e.started.IsZero() {
		e.started = *v.Started
	}
	return e
}

// end prints how a step has ended, once.
func (p *Printer) end(v *client.Vertex) {
	e := p.entry(v.Digest)
	if v.Completed == nil || e.done {
		return
	}
	e.done = true
	p.announce(e)
	p.flush(e, *v.Completed)
	switch {
	case v.Error != "":
		p.line(e, "ERROR: "+v.Error)
	case v.Cached:
		p.line(e, "CACHED")
	default:
		p.line(e, fmt.Sprintf("DONE %.1fs", v.Completed.Sub(e.started).Seconds()))
	}
}

func (p *Printer) entry(dgst digest.Digest) *vertex {
	e := p.vertexes[dgst]
	if e == nil {
		e = &vertex{fetched: map[string]bool{}}
		p.vertexes[dgst] = e
	}
	return e
}

func (p *Printer) announce(e *vertex) {
	if e.number == 0 {
		p.count++
		e.number = p.count
		p.line(e, e.name)
	}
}

// status prints what a step has finished beside its output, such as a download.
func (p *Printer) status(s *client.VertexStatus) {
	e := p.entry(s.Vertex)
	if s.Completed == nil || e.fetched[s.ID] {
		return
	}
	e.fetched[s.ID] = true
	p.announce(e)
	text := s.ID
	if s.Current > 0 {
		text += " " + units.HumanSize(float64(s.Current))
	}
	p.line(e, text+" done")
}

func (p *Printer) log(l *client.VertexLog) {
	e := p.entry(l.Vertex)
	p.announce(e)
	e.partial = append(e.partial, l.Data...)
	for {
		i := bytes.IndexByte(e.partial, '\n')
		if i < 0 {
			return
		}
		p.output(e, string(e.partial[:i]), l.Timestamp)
		e.partial = e.partial[i+1:]
	}
}

// flush prints a last line without a newline.
func (p *Printer) flush(e *vertex, at time.Time) {
	if len(e.partial) > 0 {
		p.output(e, string(e.partial), at)
		e.partial = nil
	}
}

func (p *Printer) output(e *vertex, text string, at time.Time) {
	if i := strings.LastIndexByte(strings.TrimRight(text, "\r"), '\r'); i >= 0 { // a progress bar: its last state
		text = text[i+1:]
	}
	text = strings.TrimRight(text, "\r")
	e.tail = append(e.tail, text)
	if len(e.tail) > tailLines {
		e.tail = e.tail[1:]
	}
	p.line(e, fmt.Sprintf("%.3f %s", at.Sub(e.started).Seconds(), text))
}

func (p *Printer) line(e *vertex, text string) {
	if p.quiet || e.number == 0 {
		return
	}
	if p.last != 0 && p.last != e.number {
		p.send("\n")
	}
	p.last = e.number
	p.send(fmt.Sprintf("#%d %s\n", e.number, text))
}

func (p *Printer) send(text string) {
	p.report.Report(jsonmessage.JSONMessage{Stream: text})
}

// tail returns the last lines that a step printed.
func (p *Printer) tail(dgst digest.Digest) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.vertexes[dgst]; e != nil {
		return e.tail
	}
	return nil
}
