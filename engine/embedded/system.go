package embedded

import (
	"context"
	"os"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/events"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/system"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container/lifecycle"
)

// minAPIVersion is the oldest version of the Docker Engine API that Docker's own server of the same version speaks.
const minAPIVersion = "1.24"

// Version implements engine.System.
func (e *Engine) Version(ctx context.Context) (types.Version, error) {
	v := types.Version{
		Version: buildVersion(), APIVersion: api.DefaultVersion, MinAPIVersion: minAPIVersion, GoVersion: goruntime.Version(),
		Os: goruntime.GOOS, Arch: goruntime.GOARCH, KernelVersion: kernelVersion(),
	}
	v.Platform.Name = "stack"
	v.Components = []types.ComponentVersion{{Name: "Engine", Version: v.Version, Details: map[string]string{
		"ApiVersion": v.APIVersion, "MinAPIVersion": v.MinAPIVersion, "Os": v.Os, "Arch": v.Arch, "KernelVersion": v.KernelVersion, "GoVersion": v.GoVersion,
	}}, engine.Component(v.Version)}
	return v, nil
}

// buildVersion is the version of the program that this engine is part of.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

func kernelVersion() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// Info implements engine.System.
func (e *Engine) Info(ctx context.Context) (system.Info, error) {
	info := system.Info{
		ID: e.instance(), Driver: "overlay2", LoggingDriver: "json-file", CgroupDriver: "cgroupfs", CgroupVersion: "1",
		KernelVersion: kernelVersion(), OperatingSystem: operatingSystem(), OSType: goruntime.GOOS, Architecture: machine(),
		NCPU: goruntime.NumCPU(), MemTotal: int64(hostMemory()), DockerRootDir: e.opts.Root, ServerVersion: buildVersion(),
		SystemTime: time.Now().UTC().Format(time.RFC3339Nano), NGoroutines: goruntime.NumGoroutine(), MemoryLimit: true, SwapLimit: true,
		CPUCfsPeriod: true, CPUCfsQuota: true, CPUShares: true, CPUSet: true, PidsLimit: true, IPv4Forwarding: true,
		IndexServerAddress: "https://index.docker.io/v1/", DefaultRuntime: "runc", LiveRestoreEnabled: true,
		Runtimes:        map[string]system.RuntimeWithStatus{"runc": {}},
		SecurityOptions: []string{"name=seccomp,profile=builtin", "name=cgroupns"},
		Plugins:         system.PluginsInfo{Volume: []string{"local"}, Network: []string{"bridge", "host", "null"}, Log: []string{"json-file", "none"}},
	}
	if unifiedCgroups() {
		info.CgroupVersion = "2"
	}
	info.Name, _ = os.Hostname()
	for _, c := range e.containers.All() {
		info.Containers++
		switch c.State().Phase {
		case lifecycle.Running, lifecycle.Restarting:
			info.ContainersRunning++
		case lifecycle.Paused:
			info.ContainersPaused++
		default:
			info.ContainersStopped++
		}
	}
	images, err := e.images.List(ctx, dockerimage.ListOptions{})
	info.Images = len(images)
	return info, err
}

// operatingSystem is what the host calls itself.
func operatingSystem() string {
	content, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "Linux"
	}
	for line := range strings.Lines(string(content)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return "Linux"
}

func machine() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return goruntime.GOARCH
	}
	return unix.ByteSliceToString(name.Machine[:])
}

// Events implements engine.System.
func (e *Engine) Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error) {
	return e.bus.Subscribe(ctx, opts)
}
