package build

import (
	"reflect"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// TestStep looks at what a runner is told about a step.
func TestStep(t *testing.T) {
	b := newBench(t)
	b.mustBuild(build.ImageBuildOptions{
		Ulimits:     []*container.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}},
		ShmSize:     1 << 20,
		Memory:      1 << 28,
		NetworkMode: "host",
	}, map[string]string{"Dockerfile": "FROM busybox\nWORKDIR /w\nUSER 1000:1000\nRUN true\n"})
	step := b.runner.last()
	spec := step.Spec
	if step.Network != NetworkHost || slices.ContainsFunc(spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace }) {
		t.Errorf("network %s with the namespaces %v", step.Network, spec.Linux.Namespaces)
	}
	if step.User != "1000:1000" || spec.Process.Cwd != "/w" || !reflect.DeepEqual(spec.Process.Args, []string{"/bin/sh", "-c", "true"}) {
		t.Errorf("user %s in %s runs %q", step.User, spec.Process.Cwd, spec.Process.Args)
	}
	if want := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}}; !reflect.DeepEqual(spec.Process.Rlimits, want) {
		t.Errorf("limits %v", spec.Process.Rlimits)
	}
	if m := spec.Linux.Resources.Memory; m == nil || m.Limit == nil || *m.Limit != 1<<28 {
		t.Errorf("memory %+v", m)
	}
	shm := slices.IndexFunc(spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" })
	if shm < 0 || !slices.Contains(spec.Mounts[shm].Options, "size=1048576") {
		t.Errorf("mounts %+v", spec.Mounts)
	}
	if spec.Linux.CgroupsPath != "" {
		t.Errorf("cgroup %s", spec.Linux.CgroupsPath)
	}
	if spec.Linux.Seccomp == nil || len(spec.Linux.MaskedPaths) == 0 || len(spec.Linux.ReadonlyPaths) == 0 {
		t.Errorf("a step without seccomp profile, masked and read-only paths")
	}
	if slices.Contains(spec.Process.Capabilities.Bounding, "CAP_SYS_ADMIN") || !slices.Contains(spec.Process.Capabilities.Bounding, "CAP_CHOWN") {
		t.Errorf("capabilities %v", spec.Process.Capabilities.Bounding)
	}
	if len(step.Rootfs.Lower) == 0 || step.Rootfs.Upper == "" || step.Rootfs.Work == "" || step.Rootfs.ReadOnly {
		t.Errorf("root file system %+v", step.Rootfs)
	}
}
