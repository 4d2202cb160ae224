// Package build builds images from Dockerfiles with an embedded BuildKit whose steps run in the engine's own containers.
package build

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/build"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Rootfs is the root file system of a build step: an overlay of Lower (topmost first), Upper and Work; or, if Bind is
// set, that directory alone.
type Rootfs struct {
	Lower       []string
	Upper, Work string
	Bind        string
	ReadOnly    bool
}

// Network is the network of a build step.
type Network string

// The networks that a step may have.
const (
	NetworkDefault Network = "default" // its own address on the default bridge, with a way out
	NetworkHost    Network = "host"    // the host's network
	NetworkNone    Network = "none"    // the loopback only
)

// Step is one command of a build.
type Step struct {
	ID      string
	Rootfs  Rootfs
	Spec    *specs.Spec // process, mounts (resolv.conf and hosts included), namespaces; Root and Process.User are the runner's
	User    string      // as in Docker's Config.User, to be resolved against the root file system
	Network Network
	Stdin   io.Reader // may be nil
	Stdout  io.Writer
	Stderr  io.Writer
	Started func() // called when the process runs; may be nil
}

// Runner runs build steps in containers.
type Runner interface {
	// Run runs the step to its end, kills it when ctx is done, gives back everything it took and returns the exit code.
	// The error is for a step that could not be run.
	Run(ctx context.Context, step Step) (exitCode int, err error)
}

// Options says what a Builder works with.
type Options struct {
	Root      string // directory of the build cache; created by the first build
	Snapshots *snapshot.Store
	Images    *image.Store
	Runner    Runner
}

// Builder builds images. BuildKit is opened by the first build.
type Builder struct{ opts Options }

// New returns a Builder. It costs nothing.
func New(opts Options) *Builder { return &Builder{opts: opts} }

// Close waits for running builds to be cancelled and closes the build cache.
func (b *Builder) Close() error { return nil }

// Build implements engine.Images.ImageBuild.
func (b *Builder) Build(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error) {
	return "", engine.Errorf(engine.ErrUnsupported, "cannot build images yet")
}
