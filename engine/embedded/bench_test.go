package embedded

import (
	"fmt"
	"sync"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/enginetest"
)

func BenchmarkEmbedded(b *testing.B) {
	enginetest.Benchmark(b, func(t testing.TB) enginetest.Subject {
		e := open(t)
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e)}
	})
}

// BenchmarkUpDown creates, starts, kills and removes containers on one network side by side, as a project going up and
// down does.
func BenchmarkUpDown(b *testing.B) {
	for _, n := range []int{1, 10, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := open(b)
			image := enginetest.ImportImage(b, e)
			if _, err := e.NetworkCreate(b.Context(), "bench", dockernet.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				each(b, n, func(i int) error { return up(b, e, image, fmt.Sprintf("bench-%d", i)) })
				b.StopTimer()
				each(b, n, func(i int) error {
					return e.ContainerRemove(b.Context(), fmt.Sprintf("bench-%d", i), dockercontainer.RemoveOptions{Force: true})
				})
				b.StartTimer()
			}
			if err := e.NetworkRemove(b.Context(), "bench"); err != nil {
				b.Error(err)
			}
		})
	}
}

func up(b *testing.B, e *Engine, image, name string) error {
	_, err := e.ContainerCreate(b.Context(), name, engine.CreateConfig{
		Config: &dockercontainer.Config{Image: image, Cmd: []string{"sleep", "1000"}, Labels: map[string]string{"com.docker.compose.project": "bench"}},
		Host:   &dockercontainer.HostConfig{NetworkMode: "bench"},
	})
	if err != nil {
		return err
	}
	return e.ContainerStart(b.Context(), name)
}

func each(b *testing.B, n int, do func(i int) error) {
	b.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := do(i); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
}

// BenchmarkOpen opens an engine over containers that run.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			e := openAt(b, dir)
			image := enginetest.ImportImage(b, e)
			if _, err := e.NetworkCreate(b.Context(), "bench", dockernet.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
			each(b, n, func(i int) error { return up(b, e, image, fmt.Sprintf("bench-%d", i)) })
			closeEngine(b, e)
			for b.Loop() {
				e = openAt(b, dir)
				b.StopTimer()
				closeEngine(b, e)
				b.StartTimer()
			}
			e = openAt(b, dir)
			defer closeEngine(b, e)
			each(b, n, func(i int) error {
				return e.ContainerRemove(b.Context(), fmt.Sprintf("bench-%d", i), dockercontainer.RemoveOptions{Force: true})
			})
			if err := e.NetworkRemove(b.Context(), "bench"); err != nil {
				b.Error(err)
			}
		})
	}
}
