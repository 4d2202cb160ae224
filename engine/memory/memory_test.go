package memory_test

import (
	"testing"

	"stackrun.dev/stack/engine/enginetest"
	"stackrun.dev/stack/engine/memory"
)

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Subject {
		e := memory.New(memory.WithRegistry("127.0.0.1:5000"))
		t.Cleanup(func() { _ = e.Close() })
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e), Dial: e.Dial, Registry: "127.0.0.1:5000"}
	})
}

func BenchmarkMemory(b *testing.B) {
	enginetest.Benchmark(b, func(t testing.TB) enginetest.Subject {
		e := memory.New()
		t.Cleanup(func() { _ = e.Close() })
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e), Dial: e.Dial}
	})
}
