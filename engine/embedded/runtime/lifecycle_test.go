package runtime

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"stackrun.dev/stack/engine"
)

func TestLifeCycle(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	c := w.container("life", "sh", "-c", "echo out; echo err >&2; exit 3")
	pid, err := w.Create(ctx, c)
	must(t, err)
	if s := w.state("life"); s.Status != Created || s.Pid != pid || s.Group != "test" {
		t.Errorf("after Create: %+v", s)
	}
	must(t, w.Start(ctx, "life"))
	if exit := w.awaitExit("life"); exit.Code != 3 || exit.Signal != 0 || exit.At.IsZero() {
		t.Errorf("exit: %+v", exit)
	}
	if s := w.state("life"); s.Status != Stopped || s.Pid != 0 || s.Exit.Code != 3 {
		t.Errorf("after the exit: %+v", s)
	}
	if got := w.log("life", "stdout") + w.log("life", "stderr"); got != "out\nerr\n" {
		t.Errorf("log: %q", got)
	}
	must(t, w.Delete(ctx, "life"))
	if err := w.Delete(ctx, "life"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("second Delete: %v", err)
	}
	w.run(w.container("life", "true")) // the same again
	w.awaitExit("life")
}

func TestExitCodes(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name, command string
		code, signal  int
	}{
		{"zero", "exit 0", 0, 0},
		{"code", "exit 42", 42, 0},
		{"child-killed", "sh -c 'kill -SEGV $$'; exit $?", 139, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.run(w.container(tc.name, "sh", "-c", tc.command))
			if exit := w.awaitExit(tc.name); exit.Code != tc.code || exit.Signal != tc.signal {
				t.Errorf("got %+v", exit)
			}
		})
	}
}

func TestCommandThatCannotBeExecuted(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	for _, tc := range []struct {
		name, command string
		code          int
		text          string
	}{
		{"missing", "nothere", 127, "not found in $PATH"},
		{"missing-path", "/bin/nothere", 127, "no such file"},
		{"directory", "/etc", 126, "permission denied"},
		{"not-executable", "/etc/passwd", 126, "permission denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := w.Create(ctx, w.container(tc.name, tc.command))
			must(t, err)
			err = w.Start(ctx, tc.name)
			var failed *StartError
			if !errors.As(err, &failed) || failed.Code != tc.code || !strings.Contains(failed.Text, tc.text) {
				t.Fatalf("got %#v", err)
			}
			if s := w.state(tc.name); s.Status != Stopped || s.Exit.Code != tc.code {
				t.Errorf("state: %+v", s)
			}
		})
	}
}

func TestSignals(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.run(w.container("trap", "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"))
	for !strings.Contains(w.log("trap", "stdout"), "ready") {
	}
	must(t, w.Signal(ctx, "trap", syscall.SIGTERM, false))
	if exit := w.awaitExit("trap"); exit.Code != 7 {
		t.Errorf("after SIGTERM: %+v", exit)
	}
	if err := w.Signal(ctx, "trap", syscall.SIGTERM, false); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("signal to a stopped container: %v", err)
	}
	w.run(w.container("kill", "sleep", "100"))
	must(t, w.Signal(ctx, "kill", syscall.SIGKILL, false))
	if exit := w.awaitExit("kill"); exit.Code != 137 || exit.Signal != 9 {
		t.Errorf("after SIGKILL: %+v", exit)
	}
}

func TestPause(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	w.run(w.container("paused", "sleep", "100"))
	must(t, w.Pause(ctx, "paused"))
	if s := w.state("paused"); s.Status != Paused {
		t.Errorf("state: %+v", s)
	}
	if err := w.Pause(ctx, "paused"); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("second pause: %v", err)
	}
	must(t, w.Resume(ctx, "paused"))
	must(t, w.Pause(ctx, "paused"))
	must(t, w.Signal(ctx, "paused", syscall.SIGKILL, false)) // reaches it although it is frozen
	w.awaitExit("paused")
}

func TestExec(t *testing.T) {
	w := newWorld(t)
	w.run(w.container("host", "sleep", "100"))
	out, exit := w.sh("host", ExecConfig{Env: []string{"A=b"}, Cwd: "/etc"}, "echo $A $HOSTNAME $HOME; ls passwd; exit 5")
	if out != "b host /root\npasswd\n" || exit.Code != 5 {
		t.Errorf("got %q, %+v", out, exit)
	}
	for command, code := range map[string]int{"nothere": 127, "/etc/passwd": 126} {
		_, err := w.Exec(context.Background(), "host", ExecConfig{ExecID: command, Args: []string{command}}, Streams{}, nil)
		var failed *StartError
		if !errors.As(err, &failed) || failed.Code != code {
			t.Errorf("%s: %#v", command, err)
		}
	}
}
