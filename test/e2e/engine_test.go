package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/test/scripts"
)

// TestEngineEnds: commands that stay survive their engine. Each script has an engine of its own, because it ends it.
func TestEngineEnds(t *testing.T) {
	for _, file := range scripts.Ending(t, "../../cmd/stack/testdata/script") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.stack(h.dir, "image", "import", h.imageFile(), "busybox")
			bin := filepath.Join(h.dir, "bin")
			if err := os.MkdirAll(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(h.binary, filepath.Join(bin, "stack")); err != nil {
				t.Fatal(err)
			}
			p := scripts.Params(scripts.Engine{Name: scripts.Embedded, Setup: func(env *testscript.Env) error {
				env.Vars = append(env.Vars,
					"STACK_ROOT="+filepath.Join(h.dir, "root"), "STACK_RUN="+filepath.Join(h.dir, "run"), "PATH="+bin+":"+env.Getenv("PATH"))
				return nil
			}})
			p.Files = []string{file}
			t.Run("script", func(t *testing.T) { testscript.Run(t, p) }) // which ends before the engine does
		})
	}
}
