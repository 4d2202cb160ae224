package docker_test

import (
	"testing"

	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/enginetest"
	"stackrun.dev/stack/engine/enginetest/dockerd"
	"stackrun.dev/stack/engine/enginetest/registry"
)

func TestContractOnDockerd(t *testing.T) {
	enginetest.Run(t, onDockerd)
}

func onDockerd(t testing.TB) enginetest.Subject {
	daemon := dockerd.Start(t)
	e, err := docker.New(daemon.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return enginetest.Subject{
		Engine:   e,
		Image:    enginetest.ImportImage(t, e),
		Dial:     daemon.Dial,
		Registry: registry.Start(t, daemon.Run),
		Lacks:    enginetest.Lacks{UnendedLines: true, ExitCodesOfRestarted: true},
	}
}

func BenchmarkDockerd(b *testing.B) { enginetest.Benchmark(b, onDockerd) }
