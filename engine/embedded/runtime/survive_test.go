package runtime

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// killShims kills the shims and waits until the runtime has others.
func (w *world) killShims() {
	w.tb.Helper()
	old := w.shims()
	for _, pid := range old {
		must(w.tb, syscall.Kill(pid, syscall.SIGKILL))
	}
	for _, pid := range old {
		awaitGone(w.tb, pid)
	}
}

// TestShimKilled kills the shim under running containers: they go on, their output is complete, their exit is known.
func TestShimKilled(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.run(w.container("count", "sh", "-c", "i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); sleep 0.002; done; exit 9"))
	w.run(w.container("signal", "sleep", "1000"))
	w.run(w.container("gone", "sh", "-c", "exit 4"))
	w.awaitExit("gone")
	_, err := w.Create(ctx, w.container("created", "true"))
	must(t, err)
	for range 3 {
		w.killShims()
		out, exit := w.sh("signal", ExecConfig{}, "echo again")
		if out != "again\n" || exit.Code != 0 {
			t.Fatalf("exec after the shim died: %q %+v", out, exit)
		}
	}
	if s := w.state("gone"); s.Status != Stopped || s.Exit.Code != 4 {
		t.Errorf("stopped container: %+v", s)
	}
	if exit := w.awaitExit("created"); exit.Code != 137 {
		t.Errorf("created container: %+v", exit)
	}
	if exit := w.awaitExit("count"); exit.Code != 9 || exit.Unknown {
		t.Errorf("exit of an adopted container: %+v", exit)
	}
	var want strings.Builder
	for i := range 400 {
		fmt.Fprintln(&want, i)
	}
	if got := w.log("count", "stdout"); got != want.String() {
		t.Errorf("the log has %d bytes of %d", len(got), want.Len())
	}
	must(t, w.Signal(ctx, "signal", syscall.SIGKILL, false))
	if exit := w.awaitExit("signal"); exit.Signal != 9 {
		t.Errorf("signal to an adopted container: %+v", exit)
	}
}

// TestEngineGone lets the engine go away and come back.
func TestEngineGone(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("stays", "sh", "-c", "while :; do sleep 0.01; done"))
	c := w.container("exits", "sh", "-c", "read x; echo got $x; exit 6")
	c.OpenStdin = true
	w.run(c)
	_, err := w.Create(context.Background(), w.container("half", "true"))
	must(t, err)
	pid := w.state("stays").Pid
	exits, err := w.Runtime.container("exits")
	must(t, err)
	stdin, err := protocol.Duplicate(exits.kept[protocol.FileStdin])
	must(t, err)
	must(t, w.Close())
	_, err = stdin.WriteString("word\n")
	must(t, err)
	stdin.Close()
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(w.log("exits", "stdout"), "got word\n") && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	w.open()
	w.awaitStopped("exits")
	if s := w.state("exits"); s.Status != Stopped || s.Exit.Code != 6 {
		t.Errorf("exit while the engine was away: %+v", s)
	}
	if s := w.state("stays"); s.Status != Running || s.Pid != pid || s.StartedAt.IsZero() {
		t.Errorf("container that runs on: %+v", s)
	}
	if states, _ := w.List(context.Background()); len(states) != 2 {
		t.Errorf("the list: %+v", states)
	}
	if out, _ := w.sh("stays", ExecConfig{}, "echo hello"); out != "hello\n" {
		t.Errorf("exec: %q", out)
	}
}

// TestBothGone kills engine and shim: what can be known is known.
func TestBothGone(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("stays", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done"))
	w.run(w.container("dies", "sleep", "1000"))
	dies := w.state("dies").Pid
	shims := w.shims()
	must(t, w.Close())
	for _, pid := range shims {
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		_, _ = syscall.Wait4(pid, nil, 0, nil) // the test is its parent
		awaitGone(t, pid)
	}
	must(t, syscall.Kill(dies, syscall.SIGKILL))
	awaitGone(t, dies)
	w.open()
	if s := w.state("dies"); s.Status != Stopped || !s.Exit.Unknown {
		t.Errorf("container that died unseen: %+v", s)
	}
	if s := w.state("stays"); s.Status != Running {
		t.Errorf("container that runs on: %+v", s)
	}
	must(t, w.Signal(context.Background(), "stays", syscall.SIGTERM, false))
	if exit := w.awaitExit("stays"); exit.Code != 5 || exit.Unknown {
		t.Errorf("its exit: %+v", exit)
	}
	if got := w.log("stays", "stdout"); got != "up\n" {
		t.Errorf("its log: %q", got)
	}
}

func TestExecSurvivesShim(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("host", "sleep", "1000"))
	in, typed := io.Pipe()
	var out bytes.Buffer
	done := make(chan ExitStatus)
	go func() {
		exit, err := w.Exec(context.Background(), "host",
			ExecConfig{ExecID: "x", Args: []string{"sh", "-c", "read a; echo $a; exit 3"}},
			Streams{Stdin: in, Stdout: &out, Attached: func() { close(w.attached()) }}, nil)
		if err != nil {
			t.Error(err)
		}
		done <- exit
	}()
	<-w.attached()
	w.killShims()
	fmt.Fprintln(typed, "word")
	if exit := <-done; exit.Code != 3 || exit.Unknown || out.String() != "word\n" {
		t.Errorf("got %+v, %q", exit, out.String())
	}
}

func TestTerminalSurvivesShim(t *testing.T) {
	w := newWorld(t)
	c := w.container("tty", "sh")
	c.Terminal, c.OpenStdin, c.ConsoleSize = true, true, [2]uint{24, 80}
	_, err := w.Create(context.Background(), c)
	must(t, err)
	in, typed := io.Pipe()
	out := &watched{changed: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() {
		done <- w.Attach(context.Background(), "tty", Streams{Stdin: in, Stdout: out, Attached: func() { close(w.attached()) }}, nil)
	}()
	<-w.attached()
	must(t, w.Start(context.Background(), "tty"))
	fmt.Fprint(typed, "stty size\r")
	out.await(t, "24 80")
	must(t, w.Resize(context.Background(), "tty", "", 100, 30))
	w.killShims()
	fmt.Fprint(typed, "echo still $((40+2)) here; stty size\r")
	out.await(t, "still 42 here")
	out.await(t, "30 100")
	fmt.Fprint(typed, "exit 8\r")
	must(t, <-done)
	if exit := w.awaitExit("tty"); exit.Code != 8 {
		t.Errorf("exit: %+v", exit)
	}
}

// TestHalfCreated kills the shim while containers are being created: nothing of them is left.
func TestHalfCreated(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("first", "sleep", "1000"))
	for i := range 5 {
		id := fmt.Sprint("half", i)
		c := w.container(id, "true")
		done := make(chan error)
		go func() {
			_, err := w.Create(context.Background(), c)
			done <- err
		}()
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // at different points of the creation
		w.killShims()
		if err := <-done; err == nil {
			_ = w.Delete(context.Background(), id)
		}
		if _, err := os.Stat(string(protocol.GroupDir(w.opts.RunDir, "test").Container(id))); err == nil {
			t.Errorf("%s left files behind", id)
		}
		w.run(w.container(id, "true")) // the name is free
		w.awaitExit(id)
	}
}

// TestExitWithoutShim has containers write and exit while there is no shim: what they wrote and how they ended is known.
func TestExitWithoutShim(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		id := fmt.Sprint("exit", i)
		w.run(w.container(id, "sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"))
		for !strings.Contains(w.log(id, "stdout"), "up") {
			time.Sleep(time.Millisecond)
		}
		pid, shim := w.state(id).Pid, w.shims()[0]
		must(t, syscall.Kill(shim, syscall.SIGKILL))
		must(t, syscall.Kill(pid, syscall.SIGTERM))
		if exit := w.awaitExit(id); exit.Code != 3 || exit.Unknown {
			t.Errorf("exit: %+v", exit)
		}
		if got := w.log(id, "stdout"); got != "up\nbye\n" {
			t.Errorf("log: %q", got)
		}
	}
}
