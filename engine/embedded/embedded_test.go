package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"stackrun.dev/stack/engine/enginetest"
)

// TestMain is also the engine that is killed by crash tests. It insists on the shim, without which nothing can run.
func TestMain(m *testing.M) {
	if dir, step := os.Getenv(crashDir), os.Getenv(crashStep); step != "" {
		runDoomed(dir, step)
	} else if dir != "" {
		runVictim(dir)
	}
	const binary = "runtime/binary/stack-shim"
	if _, err := os.Stat(binary); os.Getuid() == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "the shim is missing; run `make shim` first")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// open opens an engine of the test's own and closes it, with everything that is left in it, when the test ends.
func open(t testing.TB) *Engine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	e, err := Open(t.Context(), Options{Root: filepath.Join(dir, "root"), Run: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("closing the engine: %v", err)
		}
	})
	return e
}

func TestContract(t *testing.T) {
	enginetest.Run(t, func(t testing.TB) enginetest.Subject {
		e := open(t)
		return enginetest.Subject{Engine: e, Image: enginetest.ImportImage(t, e)}
	})
}
