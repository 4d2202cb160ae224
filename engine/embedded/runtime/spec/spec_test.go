package spec

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testID = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// goldenCases are whole specifications; testdata/<name>.json holds what they become.
var goldenCases = map[string]Input{
	"default": {Config: &container.Config{Cmd: []string{"sleep", "1"}}},
	"full": {
		Config: &container.Config{
			Hostname: "web", Domainname: "example.org", Tty: true, Env: []string{"A=container", "TERM"}, WorkingDir: "/srv",
			Entrypoint: []string{"/entry"}, Cmd: []string{"run"},
		},
		Image: ocispec.ImageConfig{Env: []string{"PATH=/bin", "A=image", "B=image"}, Cmd: []string{"ignored"}, WorkingDir: "/ignored"},
		Host: &container.HostConfig{
			CapAdd: []string{"net_admin", "CAP_SYS_TIME"}, CapDrop: []string{"mknod"}, ReadonlyRootfs: true,
			SecurityOpt: []string{"no-new-privileges:true", "apparmor=unconfined", "label=disable"},
			Tmpfs:       map[string]string{"/run": "size=64m,exec,mode=755", "/tmp": ""},
			Sysctls:     map[string]string{"net.core.somaxconn": "1024"}, ShmSize: 1 << 20, OomScoreAdj: -5,
			ConsoleSize: [2]uint{24, 80}, Annotations: map[string]string{"k": "v"},
			Resources: container.Resources{
				Memory: 64 << 20, MemoryReservation: 32 << 20, MemorySwap: 128 << 20, NanoCPUs: 5e8, CPUShares: 512, CpusetCpus: "0",
				PidsLimit: ptr(int64(100)), BlkioWeight: 300,
				Ulimits:           []*container.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}, {Name: "memlock", Soft: -1, Hard: -1}},
				Devices:           []container.DeviceMapping{{PathOnHost: "/dev/null", PathInContainer: "/dev/nothing", CgroupPermissions: "r"}},
				DeviceCgroupRules: []string{"c 13:* rwm"},
			},
		},
		Mounts: []specs.Mount{
			{Destination: "/data/inner", Type: "bind", Source: "/b", Options: []string{"rbind", "ro", "rslave"}},
			{Destination: "/data", Type: "bind", Source: "/a", Options: []string{"rbind", "rprivate"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "tmpfs"},
		},
		Namespaces: Namespaces{Network: "/run/netns/x"}, CgroupsPath: "/stack/x", CgroupV2: true,
	},
	"host": {
		Config: &container.Config{Cmd: []string{"sh"}},
		Host:   &container.HostConfig{NetworkMode: "host", PidMode: "host", IpcMode: "host", UTSMode: "host", CgroupnsMode: "host"},
	},
}

func TestGolden(t *testing.T) {
	for name, in := range goldenCases {
		t.Run(name, func(t *testing.T) {
			in.ID = testID
			s, err := Build(in)
			if err != nil {
				t.Fatal(err)
			}
			s.Linux.Seccomp = nil // its own tests; it differs between architectures
			s.Linux.MaskedPaths = slices.DeleteFunc(slices.Clone(s.Linux.MaskedPaths), func(p string) bool { return strings.Contains(p, "thermal") })
			got, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("differs from %s (-update rewrites it):\n%s", path, got)
			}
		})
	}
}

func build(t *testing.T, in Input) *specs.Spec {
	t.Helper()
	in.ID = testID
	if in.Config == nil {
		in.Config = &container.Config{Cmd: []string{"true"}}
	}
	s, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestArguments(t *testing.T) {
	image := ocispec.ImageConfig{Entrypoint: []string{"/image"}, Cmd: []string{"image"}}
	for name, c := range map[string]struct {
		config container.Config
		image  ocispec.ImageConfig
		want   string
	}{
		"image only":           {container.Config{}, image, "[/image image]"},
		"command":              {container.Config{Cmd: []string{"c"}}, image, "[/image c]"},
		"entry point":          {container.Config{Entrypoint: []string{"/e"}}, image, "[/e]"},
		"both":                 {container.Config{Entrypoint: []string{"/e"}, Cmd: []string{"c"}}, image, "[/e c]"},
		"no entry point":       {container.Config{Entrypoint: []string{""}, Cmd: []string{"c"}}, image, "[c]"},
		"empty entry point":    {container.Config{Entrypoint: []string{}, Cmd: []string{"c"}}, image, "[c]"},
		"image without either": {container.Config{Cmd: []string{"c", "d"}}, ocispec.ImageConfig{}, "[c d]"},
	} {
		if got := fmt.Sprint(build(t, Input{Config: &c.config, Image: c.image}).Process.Args); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	if _, err := Build(Input{ID: testID, Config: &container.Config{}}); !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), "no command") {
		t.Errorf("got %v", err)
	}
}

func TestCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		add, drop  []string
		privileged bool
		has, not   string
		count      int // 0 for any
	}{
		"default":       {nil, nil, false, "CAP_CHOWN", "CAP_SYS_ADMIN", 14},
		"drop all":      {nil, []string{"ALL"}, false, "", "CAP_CHOWN", 0},
		"only one":      {[]string{"CAP_CHOWN"}, []string{"all"}, false, "CAP_CHOWN", "CAP_KILL", 1},
		"all but":       {[]string{"ALL"}, []string{"SYS_ADMIN"}, false, "CAP_NET_ADMIN", "CAP_SYS_ADMIN", 0},
		"lower case":    {[]string{"sys_admin"}, nil, false, "CAP_SYS_ADMIN", "CAP_NET_ADMIN", 15},
		"privileged":    {nil, []string{"ALL"}, true, "CAP_SYS_ADMIN", "", 0},
		"with a prefix": {nil, []string{"CAP_KILL"}, false, "CAP_CHOWN", "CAP_KILL", 13},
	} {
		p := build(t, Input{Host: &container.HostConfig{CapAdd: c.add, CapDrop: c.drop, Privileged: c.privileged}}).Process.Capabilities
		for _, set := range [][]string{p.Bounding, p.Effective, p.Permitted} {
			if c.has != "" && !slices.Contains(set, c.has) || slices.Contains(set, c.not) || c.count > 0 && len(set) != c.count {
				t.Errorf("%s: got %v", name, set)
			}
		}
		if len(p.Inheritable)+len(p.Ambient) > 0 {
			t.Errorf("%s: inheritable %v, ambient %v", name, p.Inheritable, p.Ambient)
		}
	}
}

func TestSeccomp(t *testing.T) {
	allows := func(s *specs.Spec, call string) bool {
		return slices.ContainsFunc(s.Linux.Seccomp.Syscalls, func(r specs.LinuxSyscall) bool {
			return r.Action == specs.ActAllow && len(r.Args) == 0 && slices.Contains(r.Names, call)
		})
	}
	usual := build(t, Input{})
	if allows(usual, "mount") || !allows(usual, "read") || usual.Linux.Seccomp.DefaultAction != specs.ActErrno {
		t.Error("the default profile is not Docker's")
	}
	if again := build(t, Input{}); again.Linux.Seccomp != usual.Linux.Seccomp {
		t.Error("the filter is worked out twice")
	}
	if admin := build(t, Input{Host: &container.HostConfig{CapAdd: []string{"SYS_ADMIN"}}}); !allows(admin, "mount") {
		t.Error("the filter does not follow the capabilities")
	}
	opts := func(privileged bool, opts ...string) *specs.LinuxSeccomp {
		return build(t, Input{Host: &container.HostConfig{SecurityOpt: opts, Privileged: privileged}}).Linux.Seccomp
	}
	if opts(false, "seccomp=unconfined") != nil || opts(true) != nil {
		t.Error("an unconfined container has a filter")
	}
	if opts(false, "seccomp=builtin") == nil {
		t.Error("builtin is not the default")
	}
	own := opts(true, `seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["reboot"],"action":"SCMP_ACT_ERRNO"}]}`)
	if own == nil || own.DefaultAction != specs.ActAllow || len(own.Syscalls) != 1 {
		t.Errorf("got %+v", own)
	}
}

func TestPrivileged(t *testing.T) {
	s := build(t, Input{Host: &container.HostConfig{Privileged: true}})
	if s.Linux.MaskedPaths != nil || s.Linux.ReadonlyPaths != nil {
		t.Error("paths are hidden")
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "ro") {
			t.Errorf("%s is read-only", m.Destination)
		}
	}
	if d := s.Linux.Resources.Devices; len(d) != 1 || !d[0].Allow || d[0].Type != "" {
		t.Errorf("got the rules %+v", d)
	}
	if !slices.ContainsFunc(s.Linux.Devices, func(d specs.LinuxDevice) bool { return d.Path == "/dev/null" && d.Major == 1 && d.Minor == 3 }) {
		t.Errorf("got the devices %+v", s.Linux.Devices)
	}
}

func TestShm(t *testing.T) {
	for name, c := range map[string]struct {
		host container.HostConfig
		in   Input
		want string
	}{
		"own":        {container.HostConfig{}, Input{}, "tmpfs shm size=67108864"},
		"sized":      {container.HostConfig{ShmSize: 4096}, Input{}, "tmpfs shm size=4096"},
		"shareable":  {container.HostConfig{IpcMode: "shareable"}, Input{}, "tmpfs shm size=67108864"},
		"shared dir": {container.HostConfig{IpcMode: "shareable"}, Input{Shm: "/s"}, "bind /s rprivate"},
		"host":       {container.HostConfig{IpcMode: "host"}, Input{}, "bind /dev/shm rprivate"},
		"none":       {container.HostConfig{IpcMode: "none"}, Input{}, ""},
		"other":      {container.HostConfig{IpcMode: "container:x"}, Input{Shm: "/s", Namespaces: Namespaces{IPC: "/proc/1/ns/ipc"}}, "bind /s rprivate"},
	} {
		c.in.Host = &c.host
		got := ""
		for _, m := range build(t, c.in).Mounts {
			if m.Destination == "/dev/shm" {
				got = m.Type + " " + m.Source + " " + m.Options[len(m.Options)-1]
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestOwnDevReplacesAllOfIt(t *testing.T) {
	s := build(t, Input{Mounts: []specs.Mount{{Destination: "/dev/", Type: "bind", Source: "/dev"}}})
	for _, m := range s.Mounts {
		if strings.HasPrefix(m.Destination, "/dev/") && m.Source != "/dev" {
			t.Errorf("%s is left", m.Destination)
		}
	}
}

func TestTmpfs(t *testing.T) {
	for options, want := range map[string]string{
		"":                  "noexec,nosuid,nodev,rprivate",
		"exec":              "nosuid,nodev,rprivate,exec",
		"size=1m,size=2m":   "noexec,nosuid,nodev,rprivate,size=2m",
		"rw,nosuid,mode=17": "noexec,nodev,rprivate,rw,nosuid,mode=17",
		"uid=5,,shared":     "noexec,nosuid,nodev,uid=5,shared",
	} {
		m, err := TmpfsMount("/t", options)
		if got := strings.Join(m.Options, ","); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", options, got, err, want)
		}
	}
	for _, options := range []string{"bind", "lowerdir=/etc", "size", "mode=1,remount"} {
		if _, err := TmpfsMount("/t", options); !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%q: got %v", options, err)
		}
	}
	got, err := TmpfsOptions(&mount.TmpfsOptions{SizeBytes: 5, Mode: 0o1777, Options: [][]string{{"exec"}, {"uid", "7"}}})
	if want := "size=5,mode=1777,exec,uid=7"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestSwap(t *testing.T) {
	for _, c := range []struct{ memory, swap, want int64 }{{0, 0, 0}, {64 << 20, 0, 128 << 20}, {64 << 20, 80 << 20, 80 << 20}, {64 << 20, -1, 0}} {
		r, err := createResources(container.Resources{Memory: c.memory, MemorySwap: c.swap}, true)
		if err != nil {
			t.Fatal(err)
		}
		var got int64
		if r.Memory != nil && r.Memory.Swap != nil {
			got = *r.Memory.Swap
		}
		if got != c.want {
			t.Errorf("memory %d, swap %d: got %d, want %d", c.memory, c.swap, got, c.want)
		}
	}
	r, err := Resources(container.Resources{MemorySwap: -1}, true)
	if err != nil || *r.Memory.Swap != -1 {
		t.Errorf("an update cannot take the limit away: %+v, %v", r, err)
	}
}

// What makes no sense is refused by Build and, without the resolved parts, by Validate, and the field is named.
func TestInvalid(t *testing.T) {
	for field, h := range map[string]container.HostConfig{
		"CapAdd":              {CapAdd: []string{"FLY"}},
		"IpcMode":             {IpcMode: "ours"},
		"PidMode":             {PidMode: "ours"},
		"UTSMode":             {UTSMode: "ours"},
		"CgroupnsMode":        {CgroupnsMode: "ours"},
		"ShmSize":             {ShmSize: -1},
		"OomScoreAdj":         {OomScoreAdj: 1001},
		"CgroupParent":        {Resources: container.Resources{CgroupParent: "/a/../../b"}},
		"Tmpfs":               {Tmpfs: map[string]string{"/t": "what"}},
		"Sysctls: kernel.pid": {Sysctls: map[string]string{"kernel.pid_max": "5"}},
		"Sysctls: net":        {Sysctls: map[string]string{"net.core.somaxconn": "5"}, NetworkMode: "host"},
		"Sysctls: kernel.sem": {Sysctls: map[string]string{"kernel.sem": "5"}, IpcMode: "host"},
		"Sysctls: net/core":   {Sysctls: map[string]string{"net/core/somaxconn": "5"}, NetworkMode: "host"},
		"SecurityOpt":         {SecurityOpt: []string{"what"}},
		"SecurityOpt: \"no-":  {SecurityOpt: []string{"no-new-privileges=maybe"}},
		"seccomp":             {SecurityOpt: []string{"seccomp=/etc/profile"}},
		"seccomp profile":     {SecurityOpt: []string{"seccomp={"}},
		"Memory":              {Resources: container.Resources{Memory: 1}},
		"MemorySwap":          {Resources: container.Resources{MemorySwap: 64 << 20}},
		"MemorySwap:":         {Resources: container.Resources{Memory: 64 << 20, MemorySwap: 6 << 20}},
		"MemoryReservation":   {Resources: container.Resources{Memory: 64 << 20, MemoryReservation: 65 << 20}},
		"MemorySwappiness":    {Resources: container.Resources{MemorySwappiness: ptr(int64(101))}},
		"NanoCpus":            {Resources: container.Resources{NanoCPUs: 1e15}},
		"CpuPeriod":           {Resources: container.Resources{NanoCPUs: 1e8, CPUPeriod: 5000}},
		"CpuQuota":            {Resources: container.Resources{CPUQuota: 5}},
		"CpuShares":           {Resources: container.Resources{CPUShares: -1}},
		"CpusetCpus":          {Resources: container.Resources{CpusetCpus: "0-"}},
		"CpusetMems":          {Resources: container.Resources{CpusetMems: "all"}},
		"BlkioWeight":         {Resources: container.Resources{BlkioWeight: 5}},
		"Ulimits":             {Resources: container.Resources{Ulimits: []*container.Ulimit{{Name: "what"}}}},
		"Ulimits:":            {Resources: container.Resources{Ulimits: []*container.Ulimit{{Name: "nofile", Soft: 5, Hard: 4}}}},
		"DeviceCgroupRules":   {Resources: container.Resources{DeviceCgroupRules: []string{"all"}}},
	} {
		for what, err := range map[string]error{"Build": buildError(&h), "Validate": Validate(&container.Config{}, &h)} {
			if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %s: got %v", what, field, err)
			}
		}
	}
	for field, h := range map[string]container.HostConfig{ // known when the container is built only
		"Devices": {Resources: container.Resources{Devices: []container.DeviceMapping{{PathOnHost: "/etc/hostname"}}}},
		"IpcMode": {IpcMode: "container:x"},
		"PidMode": {PidMode: "container:x"},
	} {
		if err := buildError(&h); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestLimitsThatVersion2DoesNotHave(t *testing.T) {
	for field, r := range map[string]container.Resources{
		"OomKillDisable":   {OomKillDisable: ptr(true)},
		"MemorySwappiness": {MemorySwappiness: ptr(int64(5))},
	} {
		if _, err := Resources(r, true); !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
		if _, err := Resources(r, false); err != nil {
			t.Errorf("%s on version 1: %v", field, err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	in := goldenCases["full"]
	in.ID = testID
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(in); err != nil {
			b.Fatal(err)
		}
	}
}
