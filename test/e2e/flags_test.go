package e2e

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/engine/enginetest/dockerd"
	"stackrun.dev/stack/engine/enginetest/registry"
	"stackrun.dev/stack/test/scripts"
	"stackrun.dev/stack/watch/watchtest"
)

// sideBySide is how many scripts run at the same time: they wait more than they compute.
const sideBySide = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", sideBySide); err != nil {
		panic(err)
	}
	code := watchtest.Held(m).Run()
	if !endExamples() && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// TestFlagsEmbedded: the scripts of up hold on real containers.
func TestFlagsEmbedded(t *testing.T) {
	h := newHost(t)
	h.scripts(scripts.Embedded, registry.Start(t, nil))
}

// TestFlagsOnDocker: the scripts of up hold on Docker's own engine.
func TestFlagsOnDocker(t *testing.T) {
	d := dockerd.Start(t)
	h := newHost(t)
	h.scripts(scripts.Docker, registry.Start(t, d.Run), "STACK_HOST="+d.Host)
}

// scripts runs the scripts on one engine, which has the image busybox.
func (h *host) scripts(name, images string, variables ...string) {
	t := h.t.(*testing.T)
	if images == "" {
		t.Skip("needs docker-registry (Debian's package of that name)")
	}
	bin := filepath.Join(h.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(h.binary, filepath.Join(bin, "stack")); err != nil {
		t.Fatal(err)
	}
	seed := h.command(h.dir, "image", "import", h.imageFile(), "busybox")
	seed.Env = append(seed.Env, variables...)
	if out, err := seed.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := scripts.Params(scripts.Engine{Name: name, Setup: func(env *testscript.Env) error {
		env.Vars = append(env.Vars, slices.Concat(variables, []string{
			"STACK_ROOT=" + filepath.Join(h.dir, "root"), "STACK_RUN=" + filepath.Join(h.dir, "run"),
			"IMAGES=" + images, "PATH=" + bin + ":" + env.Getenv("PATH"),
		})...)
		return nil
	}})
	p.Files = scripts.Everywhere(t, "../../cmd/stack/testdata/script")
	// The scripts run side by side and end before the engine does, which needs a test of its own around them.
	t.Run("scripts", func(t *testing.T) { testscript.Run(t, p) })
}
