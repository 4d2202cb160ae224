package hook_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/hook"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

func TestRun(t *testing.T) {
	e := memory.New()
	defer e.Close()
	e.AddImage("busybox", container.Config{})
	c, err := e.ContainerCreate(t.Context(), "web", engine.CreateConfig{Config: &container.Config{Image: "busybox", Cmd: []string{"sleep", "3600"}}})
	if err == nil {
		err = e.ContainerStart(t.Context(), c.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		hook desired.Hook
		ref  string
		says string
		exit hook.Exit
		kind error
	}{
		{"all of it", desired.Hook{Command: []string{"sh", "-c", "echo $A; pwd; id"}, Env: []string{"A=1"}, WorkingDir: "/tmp", User: "7"}, "web", "1 /tmp 7", 0, nil},
		{"a failure", desired.Hook{Command: []string{"sh", "-c", "echo no; exit 3"}}, "web", "no", 3, nil},
		{"no such program", desired.Hook{Command: []string{"nonesuch"}}, "web", "", 0, engine.ErrInvalid},
		{"no such container", desired.Hook{Command: []string{"true"}}, "db", "", 0, engine.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := &hook.Tail{}
			err := hook.Run(t.Context(), e, test.ref, test.hook, said)
			exit, _ := errors.AsType[hook.Exit](err)
			if exit != test.exit || test.kind != nil && !errors.Is(err, test.kind) || err != nil && exit == 0 && test.kind == nil {
				t.Errorf("error %v, want exit %d, kind %v", err, test.exit, test.kind)
			}
			if got := strings.Join(said.Lines(9), " "); got != test.says {
				t.Errorf("said %q, want %q", got, test.says)
			}
		})
	}
}

func TestTail(t *testing.T) {
	var told strings.Builder
	tail := &hook.Tail{Tell: func(text string) { told.WriteString(text) }}
	if got := tail.Lines(3); got != nil {
		t.Errorf("nothing written: %q", got)
	}
	long := strings.Repeat("x", 5000) + "\n"
	for _, text := range []string{long, "one\r\ntwo\n", "thr", "ee\n\n"} {
		if n, err := tail.Write([]byte(text)); n != len(text) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got, want := tail.Lines(2), []string{"two", "three"}; !slices.Equal(got, want) {
		t.Errorf("last lines %q, want %q", got, want)
	}
	if got := tail.Lines(9); len(got) != 4 || len(got[0]) >= 5000 {
		t.Errorf("%d lines, the first of %d bytes", len(got), len(got[0]))
	}
	if told.String() != long+"one\r\ntwo\nthree\n\n" {
		t.Error("not all was passed on")
	}
}
