package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/watch/rules"
	watchsession "stackrun.dev/stack/watch/session"
)

// herald prints lines about what is watched, as soon as the project is up: until then, how that goes on has the screen.
type herald struct {
	mu    sync.Mutex
	lines *view.Changes // nil: the project is not up yet
	early []func(*view.Changes)
}

func (h *herald) begin(lines *view.Changes) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = lines
	for _, tell := range h.early {
		tell(lines)
	}
	h.early = nil
}

// tell may be called by anybody at any time.
func (h *herald) tell(tell func(*view.Changes)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lines == nil {
		h.early = append(h.early, tell)
		return
	}
	tell(h.lines)
}

func (h *herald) text(line string) { h.tell(func(c *view.Changes) { c.Text(line) }) }

// report prints what was done. A comparison takes memory for each file, and the ones after it are far between.
func (w *watching) report(r watchsession.Report) {
	if len(r.Paths) == 0 {
		go debug.FreeOSMemory()
	}
	if len(r.Paths) == 0 && r.Err == nil && !r.Synced.Written.Any() && !r.Synced.Removed.Any() {
		return // a comparison that has found nothing
	}
	out := view.Reaction{
		Service: r.Service, Action: string(r.Action), What: r.Signal, Paths: r.Paths, Into: r.Synced.Containers, Bytes: r.Synced.Bytes,
		Written: view.Entries(r.Synced.Written), Removed: view.Entries(r.Synced.Removed), New: r.New,
		Took: r.Took, Waited: r.Waited, Err: r.Err,
	}
	if len(r.Exec.Command) > 0 {
		out.What = strings.Join(r.Exec.Command, " ")
	}
	w.lines.tell(func(c *view.Changes) { c.Reaction(out) })
}

// waits prints what a reaction waits for.
func (w *watching) waits(service, what string) {
	w.lines.tell(func(c *view.Changes) { c.About(service, "waits: "+what) })
}

// output is where commands in containers print.
func (w *watching) output(_, container string) io.Writer {
	return lineWriter(func(line string) { w.lines.text(container + "  | " + line) })
}

// lineWriter is called for each line that is written.
type lineWriter func(line string)

// Write implements io.Writer.
func (l lineWriter) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		l(strings.TrimRight(line, "\r\n"))
	}
	return len(text), nil
}

func servicesWatched(list []*rules.Rule) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.Service)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// described are the rules in words.
func described(list []*rules.Rule) []string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = fmt.Sprintf("%s: %s %s", r.Service, r.Action, r.Path)
		if r.Target != "" {
			out[i] += " to " + r.Target
		}
		for _, more := range []struct {
			word  string
			texts []string
		}{{"but only", r.Include}, {"but not", r.Ignore}} {
			if len(more.texts) > 0 {
				out[i] += fmt.Sprintf(", %s %s", more.word, strings.Join(more.texts, ", "))
			}
		}
	}
	return out
}
