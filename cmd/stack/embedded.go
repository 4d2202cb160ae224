package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/engine/embedded"
)

// apiVersion is the newest version of the Docker Engine API that the engine speaks.
const apiVersion = dockerapi.NewestVersion

// openEmbedded opens the embedded engine and serves it as the Docker Engine API.
func openEmbedded(ctx context.Context, t launch.Target, busy func(running int)) (http.Handler, io.Closer, error) {
	if err := useOwnTempDir(t.Root); err != nil {
		return nil, nil, err
	}
	e, err := embedded.Open(ctx, embedded.Options{Root: t.Root, Run: t.Run, OnBusy: busy})
	if err != nil {
		return nil, nil, err
	}
	return dockerapi.New(e, dockerapi.Options{Version: version, CgroupV2: hasCgroupV2(), Log: slog.Default()}), e, nil
}

// useOwnTempDir keeps this process's temporary files in the engine's state. What builds mount there is found and removed after
// a crash.
func useOwnTempDir(root string) error {
	dir := embedded.TempDir(root)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the engine's folder for temporary files: %w", err)
	}
	return os.Setenv("TMPDIR", dir)
}

// hasCgroupV2 reports whether the host has the unified hierarchy only.
func hasCgroupV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// engineProgram is the program that is the engine: this one.
func engineProgram(launch.Target) (string, error) { return "/proc/self/exe", nil }
