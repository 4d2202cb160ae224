package memory_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

func TestShell(t *testing.T) {
	e := memory.New()
	defer e.Close()
	e.AddImage("app", container.Config{Cmd: []string{"sleep", "1000"}, Env: []string{"PATH=/bin", "A=one two", "EMPTY="}})
	made, err := e.ContainerCreate(t.Context(), "shell", engine.CreateConfig{Config: &container.Config{Image: "app"}})
	if err == nil {
		err = e.ContainerStart(t.Context(), made.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script         string
		code           int
		stdout, stderr string
	}{
		{`echo a  b`, 0, "a b\n", ""},
		{`echo "a  b" 'c $A' \$A`, 0, "a  b c $A $A\n", ""},
		{`echo [$A] ${A}! "$EMPTY" $EMPTY x$NONE`, 0, "[one two] one two!  x\n", ""},
		{`B=2; echo $B; echo $?`, 0, "2\n0\n", ""},
		{`false; echo $?`, 0, "1\n", ""},
		{`true && echo yes || echo no`, 0, "yes\n", ""},
		{`false && echo yes || echo no`, 0, "no\n", ""},
		{"echo a\necho b", 0, "a\nb\n", ""},
		{`exit 7; echo never`, 7, "", ""},
		{`echo err >&2; echo both 2>&1`, 0, "both\n", "err\n"},
		{`echo 1 > /tmp/f; echo 2 >> /tmp/f; cat < /tmp/f`, 0, "1\n2\n", ""},
		{`echo lost > /dev/null; cat /none`, 1, "", "cat: /none: file does not exist\n"},
		{`cd /tmp; pwd`, 0, "/tmp\n", ""},
		{`nothing-like-this`, 127, "", "sh: exec: \"nothing-like-this\": executable file not found in $PATH\n"},
		{`sh -c 'exit 4'; echo $?`, 0, "4\n", ""},
		{`echo 'open`, 2, "", "sh: syntax error: unterminated quoted string\n"},
		{`echo a | cat`, 2, "", "sh: syntax error near \"|\"\n"},
		{`sleep 0.01 & wait; echo done`, 0, "done\n", ""},
		{`mkdir -p /tmp/d/e && touch /tmp/d/f && ls /tmp/d && rm -r /tmp/d && test -d /tmp/d`, 1, "e\nf\n", ""},
	} {
		id, err := e.ExecCreate(t.Context(), made.ID, container.ExecOptions{Cmd: []string{"sh", "-c", c.script}, AttachStdout: true, AttachStderr: true})
		if err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		if err := e.ExecStart(t.Context(), id, false, engine.AttachOptions{Stdout: &stdout, Stderr: &stderr}); err != nil {
			t.Fatal(err)
		}
		x, err := e.ExecInspect(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if x.ExitCode != c.code || stdout.String() != c.stdout || stderr.String() != c.stderr {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q, %q", c.script, x.ExitCode, stdout.String(), stderr.String(), c.code, c.stdout, c.stderr)
		}
	}
}

func TestAClosedEngineStartsNothing(t *testing.T) {
	e := memory.New()
	e.AddImage("app", container.Config{Cmd: []string{"sleep", "1000"}})
	made, err := e.ContainerCreate(t.Context(), "late", engine.CreateConfig{Config: &container.Config{Image: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.ContainerStart(t.Context(), made.ID); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("start returned %v, want ErrUnavailable", err)
	}
}
