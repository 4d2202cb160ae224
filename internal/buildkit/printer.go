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
	held     []*vertex // that have ended in the last message
	count    int
	last     int // the vertex that printed last; a change is marked with an empty line
}

// vertex is one step as far as it was printed.
type vertex struct {
	number  int
	name    string
	started time.Time
	running bool
	ended   *client.Vertex // not nil: how it ended, to be printed
	done    bool           // that was printed
	partial []byte         // the begun line of output
	tail    []string       // the last lines of output
	fetched map[string]bool
}

// NewPrinter reports the lines as Stream messages; a quiet one reports nothing and only remembers.
func NewPrinter(report engine.Progress, quiet bool) *Printer {
	return &Printer{report: report, quiet: quiet, vertexes: map[digest.Digest]*vertex{}}
}

// Update takes in the next of the solver's messages. That a step has ended is printed with the message after: until then
// what belongs to it may still come. After the last message comes Close.
func (p *Printer) Update(s *client.SolveStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, v := range s.Vertexes {
		p.note(v)
	}
	ended := map[*vertex]bool{}
	for _, e := range p.held {
		ended[e] = e.ended != nil
	}
	p.parts(s, func(e *vertex) bool { return ended[e] })
	p.endHeld()
	for _, v := range s.Vertexes {
		if e := p.entry(v.Digest); e.running {
			p.announce(e)
		}
	}
	p.parts(s, func(e *vertex) bool { return !ended[e] })
	for _, v := range s.Vertexes {
		if e := p.entry(v.Digest); v.Completed != nil && !e.done && e.ended == nil {
			e.ended = v
			p.held = append(p.held, e)
		}
	}
}

// Close prints what was held back. Explain wants it done.
func (p *Printer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endHeld()
}

// note remembers what a step is called, since when it runs and how it has ended. One that only waits is not printed.
func (p *Printer) note(v *client.Vertex) {
	e := p.entry(v.Digest)
	e.name = v.Name
	if v.Started != nil && e.started.IsZero() {
		e.started = *v.Started
	}
	e.running = v.Started != nil && v.Completed == nil
	switch {
	case e.ended == nil:
	case e.running: // it goes on after all
		e.ended = nil
	case v.Completed != nil:
		e.ended = v
	}
}

// parts prints what the message says about certain steps.
func (p *Printer) parts(s *client.SolveStatus, of func(*vertex) bool) {
	for _, st := range s.Statuses {
		if e := p.entry(st.Vertex); of(e) {
			p.status(e, st)
		}
	}
	for _, l := range s.Logs {
		if e := p.entry(l.Vertex); of(e) {
			p.log(e, l)
		}
	}
	for _, w := range s.Warnings {
		if e := p.entry(w.Vertex); of(e) {
			p.line(e, "WARN: "+string(w.Short))
		}
	}
}

// endHeld prints how the steps have ended, each once.
func (p *Printer) endHeld() {
	for _, e := range p.held {
		if v := e.ended; v != nil && !e.done {
			e.ended, e.done = nil, true
			p.end(e, v)
		}
	}
	p.held = nil
}

func (p *Printer) end(e *vertex, v *client.Vertex) {
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

// status prints what a step has finished beside its output, such as a download. Nobody misses one that comes long after
// the step's end.
func (p *Printer) status(e *vertex, s *client.VertexStatus) {
	if s.Completed == nil || e.fetched[s.ID] || e.done && !e.running {
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

func (p *Printer) log(e *vertex, l *client.VertexLog) {
	p.announce(e)
	e.partial = append(e.partial, l.Data...)
	for {
		i := bytes.IndexByte(e.partial, '\n')
		if i < 0 {
			break
		}
		p.output(e, string(e.partial[:i]), l.Timestamp)
		e.partial = e.partial[i+1:]
	}
	if e.done && !e.running { // nothing else prints the rest
		p.flush(e, l.Timestamp)
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
