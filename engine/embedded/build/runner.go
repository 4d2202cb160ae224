package build

import (
	"context"
	"io"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Rootfs is the root file system of a build step. With Lower and Upper it is an overlay whose changes go to Upper; Work
// is an empty directory on Upper's file system. With Lower only it cannot be written. With Upper only it is that
// directory itself.
type Rootfs struct {
	Lower       []string // the topmost first
	Upper, Work string
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
	Spec    *specs.Spec // without root, user and, unless the build names a parent, cgroup; the network namespace has no path, and on the host's network there is none
	User    string      // as in Docker's Config.User, to be resolved against the root file system
	Network Network
	Stdin   io.Reader // may be nil
	Stdout  io.Writer
	Stderr  io.Writer
	Started func() // to be called when the process runs; never nil
}

// Runner runs build steps in containers.
type Runner interface {
	// Run runs the step to its end, kills it when ctx is done, gives back everything it took and returns the exit code.
	// The error is for a step that could not be run. Nothing is written to the streams after Run has returned.
	Run(ctx context.Context, step Step) (exitCode int, err error)
}
