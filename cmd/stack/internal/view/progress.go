package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// State says how the thing that an event is about fares.
type State string

// The states of a thing.
const (
	Working State = "working"
	Done    State = "done"
	Warning State = "warning"
	Failed  State = "error"
	Skipped State = "skipped"
)

// Event is something that happened to one thing on the way.
type Event struct {
	ID     string // the thing: "Container x-web-1"
	Status string // what happens to it: "Starting"
	State  State
	Detail string // more about it: how far a download is, why it failed
	Minor  bool   // of interest to those who watch live only, such as the bytes that have come in
	Output string // what a build printed, not necessarily whole lines
	Source string // who printed it: a service
}

// Progress shows how work goes on. Its methods may be called from several goroutines.
type Progress interface {
	Event(Event)
	// Text prints a line of prose without disturbing the rest.
	Text(line string)
	// Close leaves the final state on the screen. Nothing is shown afterwards.
	Close()
}

// ProgressModes are the values of --progress.
var ProgressModes = []string{"auto", "tty", "plain", "quiet", "json"}

// NewProgress shows progress on out in one of ProgressModes. The title is the command's name.
func NewProgress(mode, title string, out io.Writer, style Style) (Progress, error) {
	if mode == "" || mode == "auto" {
		mode = "plain"
		if IsTerminal(out) {
			mode = "tty"
		}
	}
	switch mode {
	case "tty":
		return newLive(title, out, style), nil
	case "plain":
		return &plain{out: out, last: map[string]string{}, begun: map[string]begun{}}, nil
	case "json":
		return &jsonLines{enc: json.NewEncoder(out)}, nil
	case "quiet":
		return quiet{}, nil
	}
	return nil, fmt.Errorf("value %q of --progress is not one of auto, tty, plain, quiet, json", mode)
}

type quiet struct{}

func (quiet) Event(Event) {}
func (quiet) Text(string) {}
func (quiet) Close()      {}

// plain prints a line whenever a thing's status changes. What builds print, several perhaps at the same time, is printed
// in whole lines behind the name of the service.
type plain struct {
	mu    sync.Mutex
	out   io.Writer
	last  map[string]string
	begun map[string]begun // by ID
}

// begun is the line that a build is about to print.
type begun struct{ source, text string }

func (p *plain) Event(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output(e)
	line := " " + e.ID + " " + e.Status
	if e.Detail != "" && !e.Minor {
		line += " " + Clean(e.Detail)
	}
	if e.Minor || e.Status == "" || p.last[e.ID] == line {
		return
	}
	p.last[e.ID] = line
	fmt.Fprintln(p.out, line)
}

// output prints the lines that are complete, and the begun one when something else happens. Empty ones separate the
// steps of one build and would not do so between those of several.
func (p *plain) output(e Event) {
	b := p.begun[e.ID]
	b.source, b.text = cmp.Or(e.Source, b.source), b.text+e.Output
	if !e.Minor && b.text != "" {
		b.text += "\n"
	}
	for {
		line, rest, whole := strings.Cut(b.text, "\n")
		if !whole {
			break
		}
		b.text = rest
		switch {
		case b.source == "":
			fmt.Fprintln(p.out, line)
		case line != "":
			fmt.Fprintln(p.out, b.source+" | "+line)
		}
	}
	p.begun[e.ID] = b
}

func (p *plain) Text(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.out, line)
}

func (p *plain) Close() {}

// jsonLines prints each event as one line of JSON.
type jsonLines struct {
	mu  sync.Mutex
	enc *json.Encoder
}

type jsonEvent struct {
	ID     string    `json:"id,omitempty"`
	Status string    `json:"status,omitempty"`
	State  State     `json:"state,omitempty"`
	Detail string    `json:"details,omitempty"`
	Output string    `json:"output,omitempty"`
	Source string    `json:"source,omitempty"`
	Text   string    `json:"text,omitempty"`
	Time   time.Time `json:"time"`
}

func (j *jsonLines) Event(e Event) {
	j.write(jsonEvent{ID: e.ID, Status: e.Status, State: e.State, Detail: e.Detail, Output: e.Output, Source: e.Source})
}

func (j *jsonLines) Text(line string) { j.write(jsonEvent{Text: line}) }

func (j *jsonLines) write(e jsonEvent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Time = time.Now().UTC()
	// Whoever reads the progress may have stopped reading; the work goes on.
	_ = j.enc.Encode(e)
}

func (j *jsonLines) Close() {}
