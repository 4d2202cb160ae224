package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/executor/oci"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	gatewayapi "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/network"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// stepExecutor is BuildKit's executor on top of the engine's Runner.
type stepExecutor struct {
	root   string // the builder's state
	dir    string // resolv.conf and hosts files, mount points
	runner Runner
}

var _ executor.Executor = (*stepExecutor)(nil)

func newExecutor(root string, runner Runner) (*stepExecutor, error) {
	dir := filepath.Join(root, "steps")
	// What is in there belongs to steps of a process that is gone.
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	return &stepExecutor{root: root, dir: dir, runner: runner}, os.MkdirAll(dir, 0o700)
}

// Run implements executor.Executor.
func (e *stepExecutor) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, process executor.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	if id == "" {
		id = identity.NewID()
	}
	if err := executor.ValidContainerID(id); err != nil {
		return nil, err
	}
	signal := sync.OnceFunc(func() {
		if started != nil {
			close(started)
		}
	})
	defer signal()

	var cleanup cleanups
	defer cleanup.run()
	rootfs, raw, err := prepareRootfs(ctx, root, &cleanup)
	if err != nil {
		return nil, err
	}
	rootfs.ReadOnly = rootfs.ReadOnly || root.Readonly || process.Meta.ReadonlyRootFS
	spec, err := e.spec(ctx, id, process.Meta, mounts, &cleanup)
	if err != nil {
		return nil, err
	}
	stubs := stubKeeper{dir: filepath.Join(e.dir, id), root: raw, mounts: mounts, recursive: process.Meta.RemoveMountStubsRecursive}
	if !rootfs.ReadOnly {
		if err := stubs.note(ctx); err != nil {
			return nil, err
		}
	}
	code, err := e.runner.Run(ctx, Step{
		ID:      id,
		Rootfs:  rootfs,
		Spec:    spec,
		User:    process.Meta.User,
		Network: networkOf(process.Meta.NetMode),
		Stdin:   reader(process.Stdin),
		Stdout:  writer(process.Stdout),
		Stderr:  writer(process.Stderr),
		Started: signal,
	})
	if err == nil && !rootfs.ReadOnly {
		err = stubs.remove()
	}
	return nil, exitError(ctx, code, err, process.Meta.ValidExitCodes)
}

// Exec implements executor.Executor. Only frontends that are images themselves need it.
func (e *stepExecutor) Exec(context.Context, string, executor.ProcessInfo) error {
	return engine.Errorf(engine.ErrUnsupported, "cannot run a second process in a build step")
}

// spec describes the step's process and file systems.
func (e *stepExecutor) spec(ctx context.Context, id string, meta executor.Meta, mounts []executor.Mount, cleanup *cleanups) (*specs.Spec, error) {
	if len(meta.CDIDevices) > 0 {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot give devices to a build step")
	}
	dir, err := os.OpenRoot(e.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	resolvConf, err := oci.GetResolvConf(ctx, dir, nil, nil, meta.NetMode)
	if err != nil {
		return nil, fmt.Errorf("cannot write resolv.conf: %w", err)
	}
	hosts, removeHosts, err := oci.GetHostsFile(ctx, dir, meta.ExtraHosts, nil, meta.Hostname)
	if err != nil {
		return nil, fmt.Errorf("cannot write the hosts file: %w", err)
	}
	if removeHosts != nil {
		cleanup.add(func() error { removeHosts(); return nil })
	}
	spec, release, err := oci.GenerateSpec(ctx, meta, nil, id, filepath.Join(e.dir, resolvConf), filepath.Join(e.dir, hosts),
		noNamespace{}, "", oci.ProcessSandbox, nil, "", false, "", nil)
	if err != nil {
		return nil, err
	}
	cleanup.add(func() error { release(); return nil })
	spec.Process.Terminal = meta.Tty
	if meta.CgroupParent == "" {
		spec.Linux.CgroupsPath = "" // the runner's choice
	}
	if networkOf(meta.NetMode) == NetworkHost {
		spec.Linux.Namespaces = slices.DeleteFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
			return n.Type == specs.NetworkNamespace
		})
	}
	for _, m := range mounts {
		converted, err := e.stepMount(ctx, m, cleanup)
		if err != nil {
			return nil, engine.Errorf(kindOf(err), "cannot mount %s: %w", m.Dest, err)
		}
		spec.Mounts = replaceMount(spec.Mounts, converted)
	}
	return spec, nil
}

func kindOf(err error) error {
	var own *engine.Error
	if errors.As(err, &own) {
		return own.Kind
	}
	return engine.ErrInternal
}

// replaceMount adds the mount in place of one at the same destination.
func replaceMount(mounts []specs.Mount, m specs.Mount) []specs.Mount {
	i := slices.IndexFunc(mounts, func(old specs.Mount) bool { return old.Destination == m.Destination })
	if i < 0 {
		return append(mounts, m)
	}
	mounts[i] = m
	return mounts
}

func networkOf(mode pb.NetMode) Network {
	switch mode {
	case pb.NetMode_HOST:
		return NetworkHost
	case pb.NetMode_NONE:
		return NetworkNone
	default:
		return NetworkDefault
	}
}

// exitError is what BuildKit expects of a step that did not succeed.
func exitError(ctx context.Context, code int, err error, valid []int) error {
	if cause := context.Cause(ctx); cause != nil {
		return &gatewayapi.ExitError{ExitCode: gatewayapi.UnknownExitStatus, Err: cause}
	}
	if err != nil {
		return err
	}
	if code == 0 && valid == nil || slices.Contains(valid, code) {
		return nil
	}
	return &gatewayapi.ExitError{ExitCode: uint32(code)}
}

// reader and writer keep a missing stream from becoming an interface that is not nil.
func reader(r io.ReadCloser) io.Reader {
	if r == nil {
		return nil
	}
	return r
}

func writer(w io.WriteCloser) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// noNamespace leaves the network to the runner.
type noNamespace struct{}

var _ network.Namespace = noNamespace{}

func (noNamespace) Close() error                                   { return nil }
func (noNamespace) Set(*specs.Spec) error                          { return nil }
func (noNamespace) Sample() (*resourcestypes.NetworkSample, error) { return nil, nil }

// cleanups are run in the reverse order of their coming.
type cleanups []func() error

func (c *cleanups) add(f func() error) {
	if f != nil {
		*c = append(*c, f)
	}
}

func (c *cleanups) run() error {
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f())
	}
	*c = nil
	return errors.Join(errs...)
}
