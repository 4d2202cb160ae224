package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// asked is where a question is printed: it interrupts when one is there.
type asked struct {
	question  string
	interrupt func()
}

func (w *asked) Write(b []byte) (int, error) {
	if w.question += string(b); strings.HasSuffix(w.question, "[yN] ") {
		w.interrupt()
	}
	return len(b), nil
}

// Who is asked may interrupt instead of answering, and then nothing is done.
func TestInterruptIsAnAnswer(t *testing.T) {
	a, _ := inProcess(t, keyed)
	a.err = io.Discard
	file := a.global.files[0]
	if code := run(t.Context(), []string{"-f", file, "create"}, a); code != 0 {
		t.Fatalf("create: exit code %d", code)
	}
	silent, w := io.Pipe()
	defer w.Close()
	ctx, interrupt := context.WithCancel(t.Context())
	a.in, a.err = silent, &asked{interrupt: interrupt}
	if code := run(ctx, []string{"-f", file, "rm"}, a); code != exitInterrupted {
		t.Errorf("rm: exit code %d, want %d", code, exitInterrupted)
	}
	var out strings.Builder
	a.in, a.out, a.err = strings.NewReader(""), &out, io.Discard
	if run(t.Context(), []string{"-f", file, "ps", "-a", "--format", "{{.Name}}"}, a); out.String() != "keys-web-1\n" {
		t.Errorf("the containers are %q", out.String())
	}
}
