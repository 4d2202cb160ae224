package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stackrun.dev/stack/engine"
)

// watched is a buffer that can be waited for.
type watched struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{}
}

func (b *watched) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p)
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (b *watched) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *watched) await(tb testing.TB, text string) {
	tb.Helper()
	timeout := time.After(20 * time.Second)
	for !strings.Contains(b.String(), text) {
		select {
		case <-b.changed:
		case <-timeout:
			tb.Fatalf("%q was not written; there is %q", text, b.String())
		}
	}
}

func TestAttach(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	c := w.container("cat", "sh", "-c", "cat; echo end >&2")
	c.OpenStdin, c.StdinOnce = true, true
	_, err := w.Create(ctx, c)
	must(t, err)
	var out, errs, other bytes.Buffer
	var all sync.WaitGroup
	both := make(chan struct{}, 2)
	ready := func() { both <- struct{}{} }
	in, typed := io.Pipe()
	all.Go(func() {
		must(t, w.Attach(ctx, "cat", Streams{Stdin: in, Stdout: &out, Stderr: &errs, Attached: ready}, nil))
	})
	all.Go(func() { must(t, w.Attach(ctx, "cat", Streams{Stdout: &other, Attached: ready}, nil)) })
	<-both
	<-both
	must(t, w.Start(ctx, "cat"))
	big := strings.Repeat("0123456789abcde\n", 20000)
	_, err = io.WriteString(typed, big)
	must(t, err)
	typed.Close()
	all.Wait()
	if out.String() != big || other.String() != big || errs.String() != "end\n" {
		t.Errorf("got %d and %d bytes of %d, stderr %q", out.Len(), other.Len(), len(big), errs.String())
	}
	w.awaitExit("cat")
	if got := w.log("cat", "stdout"); got != big {
		t.Errorf("the log has %d bytes", len(got))
	}
	if err := w.Attach(ctx, "cat", Streams{}, nil); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("attach to a stopped container: %v", err)
	}
}

type stuck struct{ release chan struct{} }

func (s stuck) Write(p []byte) (int, error) {
	<-s.release
	return len(p), nil
}

// TestSlowClient attaches a client that does not read. The container does not notice.
func TestSlowClient(t *testing.T) {
	w := newWorld(t)
	_, err := w.Create(context.Background(), w.container("loud", "sh", "-c", "seq 1 1000000; echo done >&2"))
	must(t, err)
	s := stuck{make(chan struct{})}
	attached, result := make(chan struct{}), make(chan error)
	go func() {
		result <- w.Attach(context.Background(), "loud", Streams{Stdout: s, Attached: func() { close(attached) }}, nil)
	}()
	<-attached
	must(t, w.Start(context.Background(), "loud"))
	err = <-result
	close(s.release)
	if !errors.Is(err, engine.ErrConflict) {
		t.Errorf("the slow client got %v", err)
	}
	w.awaitExit("loud")
	if got := w.log("loud", "stdout"); !strings.HasSuffix(got, "\n1000000\n") || strings.Count(got, "\n") != 1000000 {
		t.Errorf("the log has %d bytes", len(got))
	}
}

// TestLossless attaches a client that reads slowly and wants everything.
func TestLossless(t *testing.T) {
	w := newWorld(t)
	_, err := w.Create(context.Background(), w.container("loud", "seq", "1", "500000"))
	must(t, err)
	r, out := io.Pipe()
	attached := make(chan struct{})
	go func() {
		err := w.Attach(context.Background(), "loud", Streams{Stdout: out, Lossless: true, Attached: func() { close(attached) }}, nil)
		out.CloseWithError(err)
	}()
	<-attached
	must(t, w.Start(context.Background(), "loud"))
	got, err := io.ReadAll(r)
	must(t, err)
	if !bytes.HasSuffix(got, []byte("\n500000\n")) || bytes.Count(got, []byte("\n")) != 500000 {
		t.Errorf("got %d bytes", len(got))
	}
}

func TestDetachKeys(t *testing.T) {
	w := newWorld(t)
	c := w.container("tty", "cat")
	c.Terminal, c.OpenStdin = true, true
	w.run(c)
	out := &watched{changed: make(chan struct{}, 1)}
	err := w.Attach(context.Background(), "tty", Streams{Stdin: strings.NewReader("ab\x10c\x10\x11"), Stdout: out}, []byte{16, 17})
	if !errors.Is(err, ErrDetached) {
		t.Errorf("got %v", err)
	}
	if s := w.state("tty"); s.Status != Running {
		t.Errorf("after detaching: %+v", s)
	}
}

func TestKeyReader(t *testing.T) {
	for _, tc := range []struct {
		in, keys, out string
		detached      bool
	}{
		{"abc", "", "abc", false},
		{"abXYc", "XY", "ab", true},
		{"aXbXXYc", "XY", "aXbX", true},
		{"aX", "XY", "aX", false},
		{"XXXY", "XXY", "X", true},
	} {
		k := newKeyReader(strings.NewReader(tc.in), []byte(tc.keys))
		got, _ := io.ReadAll(k)
		detached := false
		select {
		case <-k.detached:
			detached = true
		default:
		}
		if string(got) != tc.out || detached != tc.detached {
			t.Errorf("%+v: got %q, %v", tc, got, detached)
		}
	}
}

func TestExecTerminal(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("host", "sleep", "1000"))
	out := &watched{changed: make(chan struct{}, 1)}
	exit, err := w.Exec(context.Background(), "host", ExecConfig{
		ExecID: "t", Tty: true, Size: [2]uint{10, 20}, Args: []string{"sh", "-c", "stty size; tty; read a; echo got $a; exit 2"},
	}, Streams{Stdin: strings.NewReader("word\r"), Stdout: out}, nil)
	must(t, err)
	if got := out.String(); exit.Code != 2 || !strings.Contains(got, "10 20") || !strings.Contains(got, "/dev/pts/") || !strings.Contains(got, "got word") {
		t.Errorf("got %+v, %q", exit, got)
	}
}

func TestExecCancelledGoesOn(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("host", "sleep", "1000"))
	ctx, cancel := context.WithCancel(context.Background())
	out := &watched{changed: make(chan struct{}, 1)}
	result := make(chan error)
	go func() {
		_, err := w.Exec(ctx, "host", ExecConfig{ExecID: "x", Args: []string{"sh", "-c", "echo up; sleep 0.1; seq 1 100000; exit 6"}}, Streams{Stdout: out}, nil)
		result <- err
	}()
	out.await(t, "up")
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	e := w.await("exit of the exec", func(e Event) bool { return e.Kind == ExecExited && e.ExecID == "x" })
	if e.Status.Code != 6 {
		t.Errorf("got %+v", e)
	}
}

func TestExecDetachedAndSignalled(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("host", "sleep", "1000"))
	ctx := context.Background()
	for _, tty := range []bool{false, true} {
		id := fmt.Sprint("d", tty)
		_, err := w.Exec(ctx, "host", ExecConfig{ExecID: id, Args: []string{"sleep", "1000"}, Detach: true, Tty: tty}, Streams{}, nil)
		must(t, err)
		must(t, w.SignalExec(ctx, "host", id, syscall.SIGKILL))
		e := w.await("exit of "+id, func(e Event) bool { return e.Kind == ExecExited && e.ExecID == id })
		if e.Status.Signal != 9 {
			t.Errorf("got %+v", e)
		}
	}
}
