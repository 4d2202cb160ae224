package embedded

import (
	"context"
	"errors"
	"io"
	"strings"

	dockernet "github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/build"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// buildGroup is the group of build steps: they share a shim among themselves.
const buildGroup = "build"

// stepRunner runs the steps of builds.
type stepRunner struct{ engine *Engine }

// Run implements build.Runner.
func (s stepRunner) Run(ctx context.Context, step build.Step) (exitCode int, err error) {
	e := s.engine
	c := runtime.Container{
		ID: step.ID, Group: buildGroup, Spec: step.Spec, User: step.User, OpenStdin: step.Stdin != nil, StdinOnce: true,
		Rootfs: runtime.Rootfs{Lower: step.Rootfs.Lower, Upper: step.Rootfs.Upper, Work: step.Rootfs.Work, ReadOnly: step.Rootfs.ReadOnly},
	}
	if step.Network != build.NetworkHost {
		sandbox, err := e.stepSandbox(step)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, sandbox.Close(), e.networks.Release(step.ID)) }()
		c.NetNS = sandbox.File()
	}
	if step.Spec.Linux != nil && step.Spec.Linux.CgroupsPath == "" {
		step.Spec.Linux.CgroupsPath = cgroupParent + "/" + step.ID
	}
	fitRlimits(step.Spec, nil)
	started := sync1(step.Started)
	status, err := e.runtime.Run(ctx, c, runtime.Streams{Stdin: step.Stdin, Stdout: orDiscard(step.Stdout), Stderr: orDiscard(step.Stderr), Attached: started})
	if failed := new(runtime.StartError); errors.As(err, &failed) {
		// A shell says the same of a command that it cannot find.
		_, _ = io.WriteString(orDiscard(step.Stderr), strings.TrimSuffix(failed.Text, "\n")+"\n")
		return failed.Code, nil
	}
	return status.Code, err
}

func sync1(f func()) func() {
	if f == nil {
		return func() {}
	}
	return f
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// stepSandbox makes the network of a build step.
func (e *Engine) stepSandbox(step build.Step) (*network.Sandbox, error) {
	var mode string
	switch step.Network {
	case build.NetworkDefault, "":
		mode = dockernet.NetworkBridge
	case build.NetworkNone:
		mode = dockernet.NetworkNone
	default:
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot run a build step on the network %s", step.Network)
	}
	return e.networks.NewSandbox(step.ID, network.Attachments(mode, nil), nil, network.SandboxOptions{Name: "build-" + step.ID})
}
