package spec

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/blkiodev"
	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

// elsewhere are the fields of HostConfig that other parts of the engine carry out, with the part's name.
var elsewhere = map[string]string{
	"Binds": "volumes", "Mounts": "volumes", "VolumeDriver": "volumes", "VolumesFrom": "volumes",
	"PortBindings": "network", "PublishAllPorts": "network", "DNS": "network", "DNSOptions": "network",
	"DNSSearch": "network", "ExtraHosts": "network",
	"LogConfig": "logs", "RestartPolicy": "container", "AutoRemove": "container",
	"ContainerIDFile": "the client writes it", "GroupAdd": "shim", "Init": "shim",
}

// refused are values of the fields that this engine does not do.
var refused = map[string]func(*container.HostConfig){
	"Runtime":            func(h *container.HostConfig) { h.Runtime = "kata" },
	"StorageOpt":         func(h *container.HostConfig) { h.StorageOpt = map[string]string{"size": "1G"} },
	"Isolation":          func(h *container.HostConfig) { h.Isolation = "hyperv" },
	"Links":              func(h *container.HostConfig) { h.Links = []string{"a:b"} },
	"Cgroup":             func(h *container.HostConfig) { h.Cgroup = "container:a" },
	"UsernsMode":         func(h *container.HostConfig) { h.UsernsMode = "keep-id" },
	"DeviceRequests":     func(h *container.HostConfig) { h.DeviceRequests = []container.DeviceRequest{{}} },
	"KernelMemory":       func(h *container.HostConfig) { h.KernelMemory = 1 },    //nolint:staticcheck // deprecated
	"KernelMemoryTCP":    func(h *container.HostConfig) { h.KernelMemoryTCP = 1 }, //nolint:staticcheck // deprecated
	"CpuRealtimePeriod":  func(h *container.HostConfig) { h.CPURealtimePeriod = 1 },
	"CpuRealtimeRuntime": func(h *container.HostConfig) { h.CPURealtimeRuntime = 1 },
	"CpuCount":           func(h *container.HostConfig) { h.CPUCount = 1 },
	"CpuPercent":         func(h *container.HostConfig) { h.CPUPercent = 1 },
	"IOMaximumIOps":      func(h *container.HostConfig) { h.IOMaximumIOps = 1 },
	"IOMaximumBandwidth": func(h *container.HostConfig) { h.IOMaximumBandwidth = 1 },
}

// done are values of the fields that change the specification.
var done = map[string]func(*container.HostConfig){
	"NetworkMode":          func(h *container.HostConfig) { h.NetworkMode = "host" },
	"ConsoleSize":          func(h *container.HostConfig) { h.ConsoleSize = [2]uint{24, 80} },
	"Annotations":          func(h *container.HostConfig) { h.Annotations = map[string]string{"a": "b"} },
	"CapAdd":               func(h *container.HostConfig) { h.CapAdd = []string{"SYS_PTRACE"} },
	"CapDrop":              func(h *container.HostConfig) { h.CapDrop = []string{"cap_mknod"} },
	"CgroupnsMode":         func(h *container.HostConfig) { h.CgroupnsMode = "private" },
	"IpcMode":              func(h *container.HostConfig) { h.IpcMode = "none" },
	"OomScoreAdj":          func(h *container.HostConfig) { h.OomScoreAdj = 5 },
	"PidMode":              func(h *container.HostConfig) { h.PidMode = "host" },
	"Privileged":           func(h *container.HostConfig) { h.Privileged = true },
	"ReadonlyRootfs":       func(h *container.HostConfig) { h.ReadonlyRootfs = true },
	"SecurityOpt":          func(h *container.HostConfig) { h.SecurityOpt = []string{"no-new-privileges"} },
	"Tmpfs":                func(h *container.HostConfig) { h.Tmpfs = map[string]string{"/t": ""} },
	"UTSMode":              func(h *container.HostConfig) { h.UTSMode = "host" },
	"ShmSize":              func(h *container.HostConfig) { h.ShmSize = 1 << 20 },
	"Sysctls":              func(h *container.HostConfig) { h.Sysctls = map[string]string{"net.core.somaxconn": "5"} },
	"MaskedPaths":          func(h *container.HostConfig) { h.MaskedPaths = []string{} },
	"ReadonlyPaths":        func(h *container.HostConfig) { h.ReadonlyPaths = []string{} },
	"CpuShares":            func(h *container.HostConfig) { h.CPUShares = 5 },
	"Memory":               func(h *container.HostConfig) { h.Memory = 64 << 20 },
	"NanoCpus":             func(h *container.HostConfig) { h.NanoCPUs = 1e8 },
	"CgroupParent":         func(h *container.HostConfig) { h.CgroupParent = "/mine" },
	"BlkioWeight":          func(h *container.HostConfig) { h.BlkioWeight = 50 },
	"CpuPeriod":            func(h *container.HostConfig) { h.CPUPeriod = 5000 },
	"CpuQuota":             func(h *container.HostConfig) { h.CPUQuota = 5000 },
	"CpusetCpus":           func(h *container.HostConfig) { h.CpusetCpus = "0" },
	"CpusetMems":           func(h *container.HostConfig) { h.CpusetMems = "0" },
	"Devices":              func(h *container.HostConfig) { h.Devices = []container.DeviceMapping{{PathOnHost: "/dev/null"}} },
	"DeviceCgroupRules":    func(h *container.HostConfig) { h.DeviceCgroupRules = []string{"c 13:* rw"} },
	"MemoryReservation":    func(h *container.HostConfig) { h.MemoryReservation = 64 << 20 },
	"MemorySwap":           func(h *container.HostConfig) { h.Memory, h.MemorySwap = 64<<20, 65<<20 },
	"MemorySwappiness":     func(h *container.HostConfig) { h.MemorySwappiness = ptr(int64(5)) },
	"OomKillDisable":       func(h *container.HostConfig) { h.OomKillDisable = ptr(true) },
	"PidsLimit":            func(h *container.HostConfig) { h.PidsLimit = ptr(int64(5)) },
	"Ulimits":              func(h *container.HostConfig) { h.Ulimits = []*container.Ulimit{{Name: "core"}} },
	"BlkioWeightDevice":    func(h *container.HostConfig) { h.BlkioWeightDevice = []*blkiodev.WeightDevice{{Path: "/dev/null"}} },
	"BlkioDeviceReadBps":   func(h *container.HostConfig) { h.BlkioDeviceReadBps = throttle },
	"BlkioDeviceWriteBps":  func(h *container.HostConfig) { h.BlkioDeviceWriteBps = throttle },
	"BlkioDeviceReadIOps":  func(h *container.HostConfig) { h.BlkioDeviceReadIOps = throttle },
	"BlkioDeviceWriteIOps": func(h *container.HostConfig) { h.BlkioDeviceWriteIOps = throttle },
}

// throttle names what is no block device, because a test cannot count on one: the error shows that it was looked at.
var throttle = []*blkiodev.ThrottleDevice{{Path: "/dev/null", Rate: 5}}

// fieldNames lists the fields of a struct with those of the structs that it embeds, by their names in JSON.
func fieldNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, fieldNames(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || strings.HasPrefix(name, "Dns") { // Go's spelling reads better for these
			name = f.Name
		}
		names = append(names, name)
	}
	return names
}

// A field that Docker adds must be put into one of the lists, which means: carried out, refused, or known to belong to
// another part of the engine.
func TestEveryFieldOfHostConfigIsDealtWith(t *testing.T) {
	names := fieldNames(reflect.TypeFor[container.HostConfig]())
	for _, name := range names {
		lists := 0
		for _, in := range []bool{elsewhere[name] != "", refused[name] != nil, done[name] != nil} {
			if in {
				lists++
			}
		}
		if lists != 1 {
			t.Errorf("HostConfig.%s is in %d lists, want 1", name, lists)
		}
	}
	if total := len(elsewhere) + len(refused) + len(done); total != len(names) {
		t.Errorf("the lists have %d fields, HostConfig has %d: %v", total, len(names), names)
	}
}

func TestRefusedFieldsAreNamed(t *testing.T) {
	for name, set := range refused {
		var h container.HostConfig
		set(&h)
		for what, err := range map[string]error{"Build": buildError(&h), "Validate": Validate(&container.Config{}, &h)} {
			if !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s with %s: got %v", what, name, err)
			}
		}
	}
}

func buildError(h *container.HostConfig) error {
	_, err := Build(Input{ID: "0123456789abcdef", Config: &container.Config{Cmd: []string{"true"}, Tty: true}, Host: h})
	return err
}

func TestFieldsChangeTheSpecification(t *testing.T) {
	build := func(h *container.HostConfig) string {
		s, err := Build(Input{ID: "0123456789abcdef", CgroupsPath: "/stack/x", Config: &container.Config{Cmd: []string{"true"}, Tty: true}, Host: h})
		if err != nil {
			return err.Error()
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	plain := build(nil)
	for name, set := range done {
		var h container.HostConfig
		set(&h)
		got := build(&h)
		blockDevice := strings.HasPrefix(name, "Blkio") && strings.Contains(got, name)
		if got == plain || !strings.HasPrefix(got, "{") && !blockDevice {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// What Docker's own client sends for a container without any wishes.
func TestZeroValuesOfDockersClientPass(t *testing.T) {
	h := &container.HostConfig{
		NetworkMode: "default", Isolation: "", RestartPolicy: container.RestartPolicy{Name: "no"}, LogConfig: container.LogConfig{},
		Resources: container.Resources{MemorySwappiness: ptr(int64(-1)), OomKillDisable: ptr(false), PidsLimit: ptr(int64(0)),
			BlkioWeightDevice: []*blkiodev.WeightDevice{}, DeviceRequests: []container.DeviceRequest{}, Ulimits: []*container.Ulimit{}},
		Links: []string{}, SecurityOpt: []string{},
	}
	for _, v2 := range []bool{false, true} {
		in := Input{ID: "0123456789abcdef", Config: &container.Config{Cmd: []string{"true"}}, Host: h, CgroupV2: v2}
		s, err := Build(in)
		if err != nil {
			t.Fatal(err)
		}
		if r := s.Linux.Resources; r.Memory != nil || r.CPU != nil || r.BlockIO != nil || *r.Pids.Limit != -1 {
			t.Errorf("got limits %+v", r)
		}
		hasCgroupns := slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == "cgroup" })
		if hasCgroupns != v2 {
			t.Errorf("version 2 %v: cgroup namespace %v", v2, hasCgroupns)
		}
	}
}
