package memory

import (
	"bytes"
	"context"
	"iter"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// maxLine is the longest piece of a line in one entry, as Docker's.
const maxLine = 16 << 10

// logbook keeps what a container writes, and hands it to those who are attached.
type logbook struct {
	mu       sync.Mutex
	entries  []engine.LogEntry
	partial  map[string][]byte // what was written of a line, by stream
	attached map[*attached]bool
	open     bool          // the container runs
	changed  chan struct{} // closed and replaced with every change
}

// attached is one who reads along.
type attached struct {
	output *pipe // stdout, or both for a terminal
	stderr *pipe
}

func newLogbook() *logbook {
	return &logbook{partial: map[string][]byte{}, attached: map[*attached]bool{}, changed: make(chan struct{})}
}

// stream is a writer of the container's.
type stream struct {
	book *logbook
	name string
}

// Write implements io.Writer.
func (s stream) Write(data []byte) (int, error) {
	b := s.book
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.attached {
		if s.name == "stderr" {
			a.stderr.push(data)
		} else {
			a.output.push(data)
		}
	}
	rest := append(b.partial[s.name], data...)
	for {
		end := bytes.IndexByte(rest, '\n') + 1
		if end == 0 && len(rest) < maxLine {
			break
		}
		if end == 0 || end > maxLine {
			end = maxLine
		}
		b.append(s.name, rest[:end])
		rest = rest[end:]
	}
	b.partial[s.name] = bytes.Clone(rest)
	return len(data), nil
}

func (b *logbook) append(stream string, line []byte) {
	b.entries = append(b.entries, engine.LogEntry{Time: time.Now().UTC(), Stream: stream, Line: bytes.Clone(line)})
	b.notify()
}

func (b *logbook) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// begin opens the book for a run.
func (b *logbook) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = true
	b.notify()
}

// end keeps what was not ended by a newline and lets readers go.
func (b *logbook) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range []string{"stdout", "stderr"} {
		if rest := b.partial[name]; len(rest) > 0 {
			b.append(name, rest)
		}
		delete(b.partial, name)
	}
	for a := range b.attached {
		a.output.close()
		a.stderr.close()
	}
	clear(b.attached)
	b.open = false
	b.notify()
}

// attach reads along from now on; with replay from the beginning.
func (b *logbook) attach(replay bool) *attached {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := &attached{output: newPipe(), stderr: newPipe()}
	if replay {
		for _, entry := range b.entries {
			b.pipeOf(a, entry.Stream).push(entry.Line)
		}
		for name, rest := range b.partial {
			b.pipeOf(a, name).push(rest)
		}
	}
	b.attached[a] = true
	return a
}

func (b *logbook) pipeOf(a *attached, stream string) *pipe {
	if stream == "stderr" {
		return a.stderr
	}
	return a.output
}

// detach ends reading along.
func (b *logbook) detach(a *attached) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.attached, a)
	a.output.close()
	a.stderr.close()
}

func (b *logbook) from(number int) (entries []engine.LogEntry, open bool, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.entries[number:len(b.entries):len(b.entries)], b.open, b.changed
}

// selection is which entries are wanted.
type selection struct {
	container.LogsOptions
	since, until time.Time
}

func (s selection) wants(e engine.LogEntry) bool {
	stream := e.Stream == "stdout" && s.ShowStdout || e.Stream == "stderr" && s.ShowStderr
	return stream && !e.Time.Before(s.since) && (s.until.IsZero() || !e.Time.After(s.until))
}

// ContainerLogs implements engine.Containers.
func (e *Engine) ContainerLogs(ctx context.Context, ref string, opts container.LogsOptions) iter.Seq2[engine.LogEntry, error] {
	return func(yield func(engine.LogEntry, error) bool) {
		book, want, err := e.openLog(ctx, ref, opts)
		if err != nil {
			yield(engine.LogEntry{}, err)
			return
		}
		number := book.tail(want)
		for {
			entries, open, changed := book.from(number)
			number += len(entries)
			for _, entry := range entries {
				if want.wants(entry) && !yield(entry, nil) {
					return
				}
			}
			if !opts.Follow || !open {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(engine.LogEntry{}, ctx.Err())
				return
			}
		}
	}
}

func (e *Engine) openLog(ctx context.Context, ref string, opts container.LogsOptions) (*logbook, selection, error) {
	want := selection{LogsOptions: opts}
	if err := e.enter(ctx, "ContainerLogs", ref); err != nil {
		return nil, want, err
	}
	var err error
	if want.since, err = parseTime(opts.Since); err != nil {
		return nil, want, err
	}
	if want.until, err = parseTime(opts.Until); err != nil {
		return nil, want, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.container(ref)
	if err != nil {
		return nil, want, err
	}
	return c.log, want, nil
}

// tail returns the number of the entry to begin with.
func (b *logbook) tail(want selection) int {
	n, err := strconv.Atoi(want.Tail)
	if err != nil || n < 0 {
		return 0 // "all", "" and, as with Docker, what is no number
	}
	entries, _, _ := b.from(0)
	for i := len(entries); ; i-- {
		if n == 0 || i == 0 {
			return i
		}
		if want.wants(entries[i-1]) {
			n--
		}
	}
}
