package enginetest

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

var logCases = []testCase{
	{"each stream in order, with times", func(f *fixture) {
		id := f.run(sh("echo a; echo x >&2; echo b; echo y >&2; echo c"))
		f.wait(id, "")
		var stdout, stderr string
		var last time.Time
		for _, e := range f.entries(id, bothStreams) {
			if e.Time.IsZero() || time.Since(e.Time) > time.Hour {
				f.Errorf("the time of %q is %v", e.Line, e.Time)
			}
			switch e.Stream {
			case "stdout":
				stdout += string(e.Line)
				if e.Time.Before(last) {
					f.Errorf("%q at %v comes after %v", e.Line, e.Time, last)
				}
				last = e.Time
			case "stderr":
				stderr += string(e.Line)
			}
		}
		if stdout != "a\nb\nc\n" || stderr != "x\ny\n" {
			f.Errorf("stdout %q, stderr %q", stdout, stderr)
		}
	}},
	{"one stream only", func(f *fixture) {
		id := f.run(sh("echo a; echo x >&2"))
		f.wait(id, "")
		if got := text(f.entries(id, container.LogsOptions{ShowStdout: true})); got != "a\n" {
			f.Errorf("stdout is %q", got)
		}
		if got := text(f.entries(id, container.LogsOptions{ShowStderr: true})); got != "x\n" {
			f.Errorf("stderr is %q", got)
		}
	}},
	{"tail", func(f *fixture) {
		id := f.run(command("seq", "10"))
		f.wait(id, "")
		for tail, want := range map[string]string{"2": "9\n10\n", "0": "", "all": numbers(1, 10), "": numbers(1, 10), "50": numbers(1, 10)} {
			opts := bothStreams
			opts.Tail = tail
			if got := text(f.entries(id, opts)); got != want {
				f.Errorf("tail %q: got %q, want %q", tail, got, want)
			}
		}
	}},
	{"since and until include their moment", func(f *fixture) {
		id := f.run(sh("echo a; sleep 0.1; echo b; sleep 0.1; echo c"))
		f.wait(id, "")
		middle := f.entries(id, bothStreams)[1].Time
		since, until := bothStreams, bothStreams
		since.Since, until.Until = stamp(middle), stamp(middle)
		if got := text(f.entries(id, since)); got != "b\nc\n" {
			f.Errorf("since: got %q", got)
		}
		if got := text(f.entries(id, until)); got != "a\nb\n" {
			f.Errorf("until: got %q", got)
		}
	}},
	{"follow goes on until the exit and misses nothing", func(f *fixture) {
		id := f.run(sh("seq 500; sleep 0.2; seq 501 1000"))
		opts := bothStreams
		opts.Follow = true
		if got := text(f.entries(id, opts)); got != numbers(1, 1000) {
			f.Errorf("got %d bytes that end in %q", len(got), got[max(0, len(got)-20):])
		}
	}},
	{"follow with tail shows the last and what is new", func(f *fixture) {
		id := f.run(sh("echo old; trap 'echo new; exit 0' TERM; echo ready; sleep 1000 & wait"))
		f.awaitOutput(id, "ready")
		opts := container.LogsOptions{ShowStdout: true, Follow: true, Tail: "1"}
		var got string
		for e, err := range f.ContainerLogs(f.ctx, id, opts) {
			f.must(err)
			got += string(e.Line)
			if string(e.Line) == "ready\n" {
				f.must(f.ContainerKill(f.ctx, id, "TERM"))
			}
		}
		if got != "ready\nnew\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"follow of what has exited ends", func(f *fixture) {
		id := f.run(command("echo", "a"))
		f.wait(id, "")
		opts := bothStreams
		opts.Follow = true
		if got := text(f.entries(id, opts)); got != "a\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"a line that was not ended", func(f *fixture) {
		id := f.run(command("printf", "half"))
		f.wait(id, "")
		got := text(f.entries(id, bothStreams))
		if f.Lacks.UnendedLines {
			got = strings.TrimSuffix(got, "\n")
		}
		if got != "half" {
			f.Errorf("got %q", got)
		}
	}},
	{"a long line comes in parts", func(f *fixture) {
		id := f.run(command("cat", "/long"))
		f.wait(id, "")
		entries := f.entries(id, bothStreams)
		if got := text(entries); got != LongLine {
			f.Errorf("got %d bytes in %d entries, want %d", len(got), len(entries), len(LongLine))
		}
	}},
	{"logs of all runs are kept", func(f *fixture) {
		id := f.run(command("echo", "a"))
		f.wait(id, "")
		f.must(f.ContainerStart(f.ctx, id))
		f.wait(id, "")
		if got := f.output(id); got != "a\na\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"a terminal has one stream", func(f *fixture) {
		id := f.run(sh("echo a; echo b >&2"), config(func(c *container.Config) { c.Tty = true }))
		f.wait(id, "")
		entries := f.entries(id, bothStreams)
		if got := text(entries); got != "a\r\nb\r\n" {
			f.Errorf("got %q", got)
		}
		for _, e := range entries {
			if e.Stream != "stdout" {
				f.Errorf("%q came on %s", e.Line, e.Stream)
			}
		}
	}},
	{"a cancelled follow ends with the context's error", func(f *fixture) {
		id := f.run(sh("echo a; sleep 1000"))
		ctx, cancel := context.WithCancel(f.ctx)
		defer cancel()
		opts := bothStreams
		opts.Follow = true
		var last error
		for _, err := range f.ContainerLogs(ctx, id, opts) {
			last = err
			cancel()
		}
		f.wantKind("logs", last, context.Canceled)
	}},
	{"a broken off loop ends", func(f *fixture) {
		id := f.run(sh("seq 100; sleep 1000"))
		opts := bothStreams
		opts.Follow = true
		var first engine.LogEntry
		for e, err := range f.ContainerLogs(f.ctx, id, opts) {
			f.must(err)
			first = e
			break
		}
		if string(first.Line) != "1\n" {
			f.Errorf("the first line is %q", first.Line)
		}
	}},
}

// numbers is what seq prints.
func numbers(from, to int) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		b.WriteString(strconv.Itoa(n) + "\n")
	}
	return b.String()
}
