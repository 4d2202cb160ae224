package build

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

func TestFailures(t *testing.T) {
	b := newBench(t)
	for _, tc := range []struct {
		name  string
		files map[string]string
		opts  build.ImageBuildOptions
		kind  error
		want  []string
	}{
		{
			name:  "a step that fails",
			files: map[string]string{"Dockerfile": "FROM busybox\n\nRUN echo first && \\\n  echo last words && false\n"},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile:3: RUN echo first && …: exit code 1", "\nlast words"},
		},
		{
			name:  "an unknown instruction",
			files: map[string]string{"Dockerfile": "FROM busybox\nFLY away\n"},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile:2: FLY away: unknown instruction: FLY"},
		},
		{
			name:  "a flag that is not there",
			files: map[string]string{"Dockerfile": "FROM busybox\nRUN --mont=type=cache true\n"},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile:2: ", "unknown flag: --mont"},
		},
		{
			name:  "a file that is not there",
			files: map[string]string{"Dockerfile": "FROM busybox\nCOPY nowhere /x\n"},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile:2: COPY nowhere /x: ", "nowhere", "not found"},
		},
		{
			name:  "no Dockerfile",
			files: map[string]string{"x": "x"},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile: ", "no such file or directory"},
		},
		{
			name:  "an empty Dockerfile",
			files: map[string]string{"Dockerfile": ""},
			kind:  engine.ErrInvalid,
			want:  []string{"Dockerfile: ", "empty"},
		},
		{
			name:  "a target that is not there",
			files: map[string]string{"Dockerfile": "FROM busybox\n"},
			opts:  build.ImageBuildOptions{Target: "none"},
			kind:  engine.ErrInvalid,
			want:  []string{"target stage", "none"},
		},
		{
			name:  "a base image behind a registry that does not answer",
			files: map[string]string{"Dockerfile": "FROM busybox AS a\nFROM 127.0.0.1:1/nowhere\n"},
			kind:  engine.ErrUnavailable,
			want:  []string{"Dockerfile:2: FROM 127.0.0.1:1/nowhere: ", "connection refused"},
		},
		{
			name:  "an unknown network",
			files: map[string]string{"Dockerfile": "FROM busybox\n"},
			opts:  build.ImageBuildOptions{NetworkMode: "mine"},
			kind:  engine.ErrUnsupported,
			want:  []string{`network "mine"`},
		},
		{
			name:  "a path inside a cache mount",
			files: map[string]string{"Dockerfile": "FROM busybox\nRUN --mount=type=cache,target=/c,source=/x true\n"},
			kind:  engine.ErrUnsupported,
			want:  []string{"Dockerfile:2: RUN --mount=type=cache,target=/c,source=/x true: ", "cannot mount /c: a source path inside a mount that steps write to"},
		},
		{
			name:  "a bad tag",
			files: map[string]string{"Dockerfile": "FROM busybox\n"},
			opts:  build.ImageBuildOptions{Tags: []string{"Not Good"}},
			kind:  engine.ErrInvalid,
			want:  []string{"invalid image reference"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.t = t
			id, _, err := b.build(tc.opts, tc.files)
			if err == nil {
				t.Fatalf("built %s", id)
			}
			if !errors.Is(err, tc.kind) {
				t.Errorf("the error is not of the kind %v", tc.kind)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out log
	files := contextOf(t, map[string]string{"Dockerfile": "FROM busybox\nRUN echo started && sleep 1000\n"})
	_, err := b.builder.Build(ctx, files, build.ImageBuildOptions{}, func(m jsonmessage.JSONMessage) {
		out.report(m)
		if strings.Contains(m.Stream, " started") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled build returned %v\n%s", err, &out)
	}
	if _, _, err := b.build(build.ImageBuildOptions{}, map[string]string{"Dockerfile": "FROM busybox\nRUN true\n"}); err != nil {
		t.Errorf("the next build: %v", err)
	}
}

func TestCloseInterruptsBuilds(t *testing.T) {
	b := newBench(t)
	files := contextOf(t, map[string]string{"Dockerfile": "FROM busybox\nRUN echo started && sleep 1000\n"})
	closed := make(chan error, 1)
	_, err := b.builder.Build(context.Background(), files, build.ImageBuildOptions{}, func(m jsonmessage.JSONMessage) {
		if strings.Contains(m.Stream, " started") {
			go func() { closed <- b.builder.Close() }()
		}
	})
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "going away") {
		t.Errorf("an interrupted build returned %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, _, err := b.build(build.ImageBuildOptions{}, nil); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("building afterwards: %v", err)
	}
}
