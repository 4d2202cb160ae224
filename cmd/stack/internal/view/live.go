package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// live redraws one line for each thing, with the time it takes. Each picture is written at once and over the former
// one, so that nothing flickers.
type live struct {
	title string
	out   io.Writer
	style Style

	mu     sync.Mutex
	items  []*item
	byID   map[string]*item
	drawn  int // lines of the former picture
	frame  int
	stop   chan struct{}
	ended  chan struct{}
	closed bool
	final  bool // the last picture is drawn
}

type item struct {
	Event
	began, ended time.Time
}

const frameTime = 80 * time.Millisecond

var spinner = []string{"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"}

func newLive(title string, out io.Writer, style Style) *live {
	l := &live{title: title, out: out, style: style, byID: map[string]*item{}, stop: make(chan struct{}), ended: make(chan struct{})}
	go l.animate()
	return l
}

func (l *live) animate() {
	defer close(l.ended)
	tick := time.NewTicker(frameTime)
	defer tick.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-tick.C:
			l.mu.Lock()
			l.frame++
			l.draw(false)
			l.mu.Unlock()
		}
	}
}

func (l *live) Event(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	it, ok := l.byID[e.ID]
	if !ok {
		it = &item{began: now}
		l.byID[e.ID] = it
		l.items = append(l.items, it)
	}
	if e.Output != "" {
		e.Detail = lastLine(e.Output)
	}
	if e.Status == "" {
		e.Status, e.State = it.Status, it.State
	}
	switch {
	case e.State != Working:
		it.ended = now
	case it.State != "" && it.State != Working:
		it.began, it.ended = now, time.Time{}
	}
	it.Event = e
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func (l *live) Text(line string) { _ = l.over(l.out, []byte(line+"\n")) }

// over writes whole lines to a stream of the same terminal, above the picture.
func (l *live) over(w io.Writer, lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.final {
		var b bytes.Buffer
		l.erase(&b)
		_, _ = l.out.Write(b.Bytes())
		defer l.draw(false)
	}
	_, err := w.Write(lines)
	return err
}

// Over is w, a stream of the terminal that progress may be drawn on: whole lines that are written to it stand above the picture
// then.
func Over(p Progress, w io.Writer) io.Writer {
	if l, ok := p.(*live); ok && IsTerminal(w) {
		return &overLive{l, w}
	}
	return w
}

type overLive struct {
	live *live
	io.Writer
}

// Write implements io.Writer.
func (o *overLive) Write(lines []byte) (int, error) { return len(lines), o.live.over(o.Writer, lines) }

func (l *live) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.mu.Unlock()
	close(l.stop)
	<-l.ended
	l.mu.Lock()
	defer l.mu.Unlock()
	l.draw(true)
	l.final = true
}

// erase moves the cursor to the first line of the former picture and clears what is below.
func (l *live) erase(b *bytes.Buffer) {
	if l.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\x1b[J", l.drawn)
	}
	l.drawn = 0
}

// draw writes the picture: all things in the end, as many as fit before. l.mu is held.
func (l *live) draw(final bool) {
	if len(l.items) == 0 {
		return
	}
	width, height := size(l.out)
	lines := l.picture(width, height, final)
	var b bytes.Buffer
	b.WriteString("\x1b[?25l")
	if l.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", l.drawn)
	}
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	if len(lines) < l.drawn {
		b.WriteString("\x1b[J")
	}
	b.WriteString("\x1b[?25h")
	l.drawn = len(lines)
	_, _ = l.out.Write(b.Bytes())
}

func (l *live) picture(width, height int, final bool) []string {
	done := 0
	for _, it := range l.items {
		if it.State != Working {
			done++
		}
	}
	shown := l.items
	if room := height - 2; !final && len(shown) > room {
		shown = l.mostRelevant(room)
	}
	idWidth, statusWidth := 0, 0
	for _, it := range shown {
		idWidth = max(idWidth, utf8.RuneCountInString(it.ID))
		statusWidth = max(statusWidth, utf8.RuneCountInString(it.Status))
	}
	lines := []string{fmt.Sprintf("[+] %s %d/%d", l.title, done, len(l.items))}
	now := time.Now()
	for _, it := range shown {
		lines = append(lines, l.line(it, idWidth, statusWidth, width, now))
	}
	return lines
}

// mostRelevant keeps what is being worked on and fills up with what was finished last.
func (l *live) mostRelevant(room int) []*item {
	keep := make(map[*item]bool, room)
	for _, working := range []bool{true, false} {
		for i := len(l.items) - 1; i >= 0 && len(keep) < room; i-- {
			if (l.items[i].State == Working) == working {
				keep[l.items[i]] = true
			}
		}
	}
	var out []*item
	for _, it := range l.items {
		if keep[it] {
			out = append(out, it)
		}
	}
	return out
}

// line is cut to the terminal's width; a line that wraps would break the counting of lines.
func (l *live) line(it *item, idWidth, statusWidth, width int, now time.Time) string {
	end := it.ended
	if end.IsZero() {
		end = now
	}
	sign, colour := l.sign(it.State)
	clock := fmt.Sprintf("%.1fs", end.Sub(it.began).Seconds())
	text := fmt.Sprintf("%-*s  %-*s", idWidth, it.ID, statusWidth, it.Status)
	if it.Detail != "" {
		text += "  " + Clean(it.Detail)
	}
	room := max(width-len(clock)-6, 0)
	text = cut(text, room)
	text += strings.Repeat(" ", room-utf8.RuneCountInString(text))
	return " " + l.style.paint(colour, sign) + " " + text + "  " + l.style.paint(faint, clock)
}

func (l *live) sign(s State) (sign, colour string) {
	switch s {
	case Done:
		return "✔", green
	case Warning:
		return "!", yellow
	case Failed:
		return "✘", red
	case Skipped:
		return "-", faint
	}
	return spinner[l.frame%len(spinner)], cyan
}

func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	runes := []rune(text)
	return string(runes[:width-1]) + "…"
}
