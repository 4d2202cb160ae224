package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/engine/memory"
	"stackrun.dev/stack/test/scripts"
	"stackrun.dev/stack/watch/watchtest"
)

func TestMain(m *testing.M) {
	testscript.Main(watchtest.Held(m), map[string]func(){
		"stack": func() { os.Exit(run(context.Background(), os.Args[1:], process(openMemory))) },
	})
}

// openMemory stands in for the embedded engine: the same process, the same socket, but nothing runs.
func openMemory(_ context.Context, _ launch.Target, busy func(running int)) (http.Handler, io.Closer, error) {
	if reason := os.Getenv("ENGINE_FAILS"); reason != "" {
		return nil, nil, fmt.Errorf("%s", reason)
	}
	e := memory.New()
	e.AddImage("busybox", container.Config{Cmd: []string{"sh"}})
	e.AddImage("nginx:1.29", container.Config{Cmd: []string{"sleep", "1000"}})
	e.AddRemoteImage("registry.test/app:v1", container.Config{Cmd: []string{"sleep", "1000"}})
	slowDown(e)
	return dockerapi.New(e, dockerapi.Options{Version: version}), e, nil
}

// TestScripts runs testdata/script: the real main, on an engine of the script's own.
func TestScripts(t *testing.T) {
	p := scripts.Params(scripts.Engine{Name: scripts.Memory, Setup: ownEngine, Variables: map[string]string{"IMAGES": "registry.test"}})
	p.Dir = "testdata/script"
	p.Cmds["git"], p.Cmds["registry"], p.Cmds["interrupt"] = serveGit, registryOnce(t), interrupt
	scripts.Everywhere(t, p.Dir)
	testscript.Run(t, p)
}

// ownEngine gives the script a short path for its engine's socket and ends the engine with the script.
func ownEngine(env *testscript.Env) error {
	dir, err := os.MkdirTemp("", "stack-")
	if err != nil {
		return err
	}
	env.Setenv("STACK_ROOT", filepath.Join(dir, "root"))
	env.Setenv("STACK_RUN", filepath.Join(dir, "run"))
	env.Setenv("STACK_IDLE", "0")
	env.Defer(func() {
		target, err := launch.Embedded(env.Getenv)
		if err == nil {
			_, err = launch.Stop(context.Background(), target)
		}
		if err != nil {
			env.T().Fatal("cannot end the engine:", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			env.T().Fatal(err)
		}
	})
	return nil
}
