package enginetest

import (
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
)

// Benchmark measures the operations whose latency users feel.
func Benchmark(b *testing.B, start func(t testing.TB) Subject) {
	s := suite{start(b)}
	for _, bench := range []struct {
		name string
		run  func(b *testing.B, f *fixture)
	}{
		{"CreateStartRemove", benchmarkLife},
		{"CreateStartRemove10AtOnce", benchmarkParallelLife},
		{"Exec", benchmarkExec},
		{"RunToExit", benchmarkRunToExit},
		{"List50", benchmarkList},
		{"Inspect", benchmarkInspect},
		{"Logs1000Lines", benchmarkLogs},
		{"Sync1", benchmarkSync(1)},
		{"Sync200", benchmarkSync(200)},
		{"Sync10000", benchmarkSync(10_000)},
		{"Compare100000", benchmarkCompare(100_000)},
	} {
		b.Run(bench.name, func(b *testing.B) { bench.run(b, s.begin(b)) })
	}
}

func benchmarkLife(b *testing.B, f *fixture) {
	for b.Loop() {
		id := f.run()
		f.remove(id)
	}
}

func benchmarkParallelLife(b *testing.B, f *fixture) {
	for b.Loop() {
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				made, err := f.ContainerCreate(f.ctx, fmt.Sprintf("%s-p%d", f.prefix, i), f.config())
				if err == nil {
					err = f.ContainerStart(f.ctx, made.ID)
				}
				if err != nil {
					f.Error(err)
				}
				f.remove(made.ID)
			})
		}
		all.Wait()
	}
}

func benchmarkExec(b *testing.B, f *fixture) {
	id := f.run()
	for b.Loop() {
		execID, err := f.ExecCreate(f.ctx, id, container.ExecOptions{Cmd: []string{"true"}, AttachStdout: true})
		f.must(err)
		f.must(f.ExecStart(f.ctx, execID, false, engine.AttachOptions{Stdout: io.Discard}))
	}
}

func benchmarkRunToExit(b *testing.B, f *fixture) {
	for b.Loop() {
		id := f.create(command("true"))
		results, errs := f.ContainerWait(f.ctx, id, container.WaitConditionNextExit)
		f.must(f.ContainerStart(f.ctx, id))
		f.waited(results, errs)
		f.remove(id)
	}
}

func benchmarkList(b *testing.B, f *fixture) {
	for range 50 {
		f.run()
	}
	for b.Loop() {
		_, err := f.ContainerList(f.ctx, container.ListOptions{All: true})
		f.must(err)
	}
}

func benchmarkInspect(b *testing.B, f *fixture) {
	id := f.run()
	for b.Loop() {
		f.inspect(id)
	}
}

func benchmarkLogs(b *testing.B, f *fixture) {
	id := f.run(command("seq", "1000"))
	f.wait(id, "")
	for b.Loop() {
		if n := len(f.entries(id, bothStreams)); n != 1000 {
			f.Fatalf("got %d entries", n)
		}
	}
}
