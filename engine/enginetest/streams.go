package enginetest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

func interactive(tty bool) option {
	return config(func(c *container.Config) {
		c.AttachStdin, c.AttachStdout, c.AttachStderr = true, true, true
		c.OpenStdin, c.StdinOnce, c.Tty = true, true, tty
	})
}

var attachCases = []testCase{
	{"input reaches the process, its end too, and output comes back", func(f *fixture) {
		id := f.create(command("cat"), interactive(false))
		var stdout bytes.Buffer
		f.must(f.attachAndStart(id, engine.AttachOptions{Stdin: strings.NewReader("hello\nworld\n"), Stdout: &stdout}))
		if got := stdout.String(); got != "hello\nworld\n" {
			f.Errorf("got %q", got)
		}
		if code := f.wait(id, ""); code != 0 {
			f.Errorf("exit code %d", code)
		}
	}},
	{"the streams are told apart", func(f *fixture) {
		id := f.create(sh("echo out; echo err >&2"))
		var stdout, stderr bytes.Buffer
		f.must(f.attachAndStart(id, engine.AttachOptions{Stdout: &stdout, Stderr: &stderr}))
		if stdout.String() != "out\n" || stderr.String() != "err\n" {
			f.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
		}
	}},
	{"with logs, what was written before comes first", func(f *fixture) {
		id := f.run(sh("trap 'echo after; exit 0' TERM; echo before; sleep 1000 & wait"))
		f.awaitOutput(id, "before")
		stdout, attached, over := newWatcher(), make(chan struct{}), make(chan error, 1)
		go func() {
			over <- f.ContainerAttach(f.ctx, id, engine.AttachOptions{Stdout: stdout, Logs: true, Attached: func() { close(attached) }})
		}()
		// Docker connects the streams and then reads the log: what is written in between would come twice.
		stdout.await(f, "before")
		<-attached
		f.must(f.ContainerKill(f.ctx, id, "TERM"))
		f.must(<-over)
		if got := stdout.String(); got != "before\nafter\n" {
			f.Errorf("got %q", got)
		}
	}},
	{"two may attach", func(f *fixture) {
		id := f.run(sh("trap 'echo out; exit 0' TERM; echo ready; sleep 1000 & wait"))
		f.awaitOutput(id, "ready")
		var attached, done sync.WaitGroup
		outs := make([]bytes.Buffer, 2)
		for i := range outs {
			attached.Add(1)
			done.Go(func() {
				if err := f.ContainerAttach(f.ctx, id, engine.AttachOptions{Stdout: &outs[i], Attached: attached.Done}); err != nil {
					f.Error(err)
				}
			})
		}
		attached.Wait()
		f.must(f.ContainerKill(f.ctx, id, "TERM"))
		done.Wait()
		for i := range outs {
			if got := outs[i].String(); got != "out\n" {
				f.Errorf("%d got %q", i, got)
			}
		}
	}},
	{"a terminal echoes, has a size, and its keys detach", func(f *fixture) {
		id := f.create(sh("stty size; cat"), interactive(true))
		in, typing := io.Pipe()
		defer typing.Close()
		screen := newWatcher()
		done := make(chan error, 1)
		attached := make(chan struct{})
		go func() {
			done <- f.ContainerAttach(f.ctx, id, engine.AttachOptions{Stdin: in, Stdout: screen, Attached: func() { close(attached) }})
		}()
		<-attached
		f.must(f.ContainerStart(f.ctx, id))
		screen.await(f, "\r\n")
		f.must(f.ContainerResize(f.ctx, id, container.ResizeOptions{Width: 100, Height: 40}))
		typed(f, typing, "hello\r")
		screen.await(f, "hello\r\nhello\r\n")
		if got := f.exec(id, "stty size < /dev/console"); !strings.HasPrefix(got.stdout, "40 100") {
			f.Errorf("the terminal's size: %v", got)
		}
		typed(f, typing, "\x10\x11")
		f.must(<-done)
		if !f.inspect(id).State.Running {
			f.Error("it does not run any more")
		}
	}},
	{"a cancelled attach leaves it running", func(f *fixture) {
		id := f.run()
		ctx, cancel := context.WithCancel(f.ctx)
		err := f.ContainerAttach(ctx, id, engine.AttachOptions{Stdout: io.Discard, Attached: cancel})
		f.wantKind("attach", err, context.Canceled)
		if !f.inspect(id).State.Running {
			f.Error("it does not run any more")
		}
	}},
}

// attachAndStart attaches to a created container and starts it when the streams are connected.
func (f *fixture) attachAndStart(id string, opts engine.AttachOptions) error {
	started := make(chan error, 1)
	opts.Attached = func() {
		go func() { started <- f.ContainerStart(f.ctx, id) }()
	}
	if err := f.ContainerAttach(f.ctx, id, opts); err != nil {
		return err
	}
	return <-started
}

func typed(f *fixture, to io.Writer, keys string) {
	f.Helper()
	_, err := io.WriteString(to, keys)
	f.must(err)
}

// watcher is a writer whose content can be waited for.
type watcher struct {
	mu      sync.Mutex
	content bytes.Buffer
	changed chan struct{}
}

func newWatcher() *watcher { return &watcher{changed: make(chan struct{}, 1)} }

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return w.content.Write(p)
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.content.String()
}

func (w *watcher) await(f *fixture, want string) {
	f.Helper()
	for !strings.Contains(w.String(), want) {
		select {
		case <-w.changed:
		case <-f.ctx.Done():
			f.Fatalf("waited for %q, got %q", want, w.String())
		}
	}
}

var execCases = []testCase{
	{"exit codes", func(f *fixture) {
		id := f.run()
		for script, want := range map[string]int{"true": 0, "false": 1, "exit 33": 33} {
			if r := f.exec(id, script); r.code != want {
				f.Errorf("%s: %v, want %d", script, r, want)
			}
		}
	}},
	{"output, told apart", func(f *fixture) {
		r := f.exec(f.run(), "echo out; echo err >&2")
		if r.stdout != "out\n" || r.stderr != "err\n" {
			f.Errorf("got %v", r)
		}
	}},
	{"input and its end", func(f *fixture) {
		r, err := f.tryExec(f.run(), container.ExecOptions{Cmd: []string{"cat"}, AttachStdin: true}, "one\ntwo\n")
		f.must(err)
		if r.stdout != "one\ntwo\n" || r.code != 0 {
			f.Errorf("got %v", r)
		}
	}},
	{"environment, working directory and user", func(f *fixture) {
		r, err := f.tryExec(f.run(config(func(c *container.Config) { c.Env = []string{"A=container"} })), container.ExecOptions{
			Cmd: []string{"sh", "-c", "echo $A $B $FROM_IMAGE; pwd; id -u"}, Env: []string{"B=exec"}, WorkingDir: "/data", User: "1000",
		}, "")
		f.must(err)
		if r.stdout != "container exec yes\n/data\n1000\n" {
			f.Errorf("got %v", r)
		}
	}},
	{"a terminal", func(f *fixture) {
		r, err := f.tryExec(f.run(), container.ExecOptions{Cmd: []string{"sh", "-c", "test -t 1 && echo terminal; echo err >&2"}, Tty: true}, "")
		f.must(err)
		if r.stdout != "terminal\r\nerr\r\n" || r.stderr != "" {
			f.Errorf("got %v", r)
		}
	}},
	{"what is not there cannot be executed", func(f *fixture) {
		r, err := f.tryExec(f.run(), container.ExecOptions{Cmd: []string{"no-such-program"}}, "")
		f.wantKind("exec", err, engine.ErrInvalid)
		if r.code != 126 && r.code != 127 || r.stdout != "" {
			f.Errorf("got %v, want exit code 126 or 127", r)
		}
	}},
	{"detached", func(f *fixture) {
		id := f.run()
		execID, err := f.ExecCreate(f.ctx, id, container.ExecOptions{Cmd: []string{"sleep", "1000"}})
		f.must(err)
		f.must(f.ExecStart(f.ctx, execID, true, engine.AttachOptions{}))
		exec, err := f.ExecInspect(f.ctx, execID)
		f.must(err)
		if !exec.Running || exec.ContainerID != id || exec.ExecID != execID {
			f.Errorf("got %+v", exec)
		}
	}},
	{"it ends with the container", func(f *fixture) {
		id := f.run()
		execID, err := f.ExecCreate(f.ctx, id, container.ExecOptions{Cmd: []string{"sh", "-c", "echo ready; sleep 1000"}, AttachStdout: true})
		f.must(err)
		screen, done := newWatcher(), make(chan error, 1)
		go func() { done <- f.ExecStart(f.ctx, execID, false, engine.AttachOptions{Stdout: screen}) }()
		screen.await(f, "ready\n")
		f.must(f.ContainerKill(f.ctx, id, "KILL"))
		f.must(<-done)
	}},
	{"an exec sees the container's files", func(f *fixture) {
		id := f.run(sh("echo shared > /tmp/file; echo ready; sleep 1000"))
		f.awaitOutput(id, "ready")
		if r := f.exec(id, "cat /tmp/file"); r.stdout != "shared\n" {
			f.Errorf("got %v", r)
		}
	}},
	{"not in what does not run", func(f *fixture) {
		_, err := f.ExecCreate(f.ctx, f.create(), container.ExecOptions{Cmd: []string{"true"}})
		f.wantKind("exec", err, engine.ErrConflict)
	}},
}
