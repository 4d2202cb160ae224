package spec

import (
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/mount"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultShmSize is the size of /dev/shm in bytes unless HostConfig.ShmSize says otherwise; it is Docker's.
const defaultShmSize = 64 << 20

// standardMounts are the kernel's file systems that every container has.
func (in Input) standardMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
	}
}

// mounts joins the standard mounts, those of the caller and HostConfig.Tmpfs.
func (in Input) mounts(sec security) ([]specs.Mount, error) {
	host := in.host()
	own := slices.Clone(in.Mounts)
	for _, dest := range slices.Sorted(maps.Keys(host.Tmpfs)) {
		m, err := TmpfsMount(dest, host.Tmpfs[dest])
		if err != nil {
			return nil, err
		}
		own = append(own, m)
	}
	for _, m := range own {
		if !path.IsAbs(m.Destination) || path.Clean(m.Destination) == "/" {
			return nil, invalid("Mounts", "%q is no place inside the container", m.Destination)
		}
	}
	slices.SortStableFunc(own, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })

	standard := in.standardMounts()
	shm, ok, err := in.shm()
	if err != nil {
		return nil, err
	}
	if ok {
		standard = append(standard, shm)
	}
	standard = slices.DeleteFunc(standard, func(m specs.Mount) bool { return replaced(m.Destination, own) })
	for i := range standard {
		in.adjust(&standard[i], sec)
	}
	return append(standard, own...), nil
}

// shm returns the mount of /dev/shm, and false if the container has none.
func (in Input) shm() (specs.Mount, bool, error) {
	host := in.host()
	bind := func(source string) specs.Mount {
		return specs.Mount{Destination: "/dev/shm", Type: "bind", Source: source, Options: []string{"rbind", "nosuid", "noexec", "nodev", "rprivate"}}
	}
	switch {
	case host.IpcMode.IsNone():
		return specs.Mount{}, false, nil
	case in.Shm != "":
		return bind(in.Shm), true, nil
	case host.IpcMode.IsHost():
		return bind("/dev/shm"), true, nil
	case host.IpcMode.IsContainer() && !replaced("/dev/shm", in.Mounts):
		return specs.Mount{}, false, unsupported("IpcMode", "the /dev/shm of the other container cannot be shared")
	}
	size := host.ShmSize
	if size == 0 {
		size = defaultShmSize
	}
	return specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(size, 10)}}, true, nil
}

// replaced says whether one of the mounts takes the place of the standard mount at dest, or of all of /dev.
func replaced(dest string, own []specs.Mount) bool {
	return slices.ContainsFunc(own, func(m specs.Mount) bool {
		clean := path.Clean(m.Destination)
		return clean == dest || clean == "/dev" && strings.HasPrefix(dest, "/dev/")
	})
}

// adjust applies to a standard mount what makes the container more, or less, free than usual.
func (in Input) adjust(m *specs.Mount, sec security) {
	host := in.host()
	writable := host.Privileged && m.Destination == "/sys" || sec.writableCgroups(host) && m.Type == "cgroup"
	if writable {
		m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
	}
	if !host.ReadonlyRootfs || slices.Contains(m.Options, "ro") {
		return
	}
	switch m.Destination {
	case "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue": // these hold no files of the image
	default:
		m.Options = append(m.Options, "ro")
	}
}

func depth(dest string) int { return strings.Count(path.Clean(dest), "/") }

// flagPairs are the mount flags of a tmpfs, each with the one that it takes back.
var flagPairs = map[string]string{
	"exec": "noexec", "noexec": "exec", "suid": "nosuid", "nosuid": "suid", "dev": "nodev", "nodev": "dev",
	"rw": "ro", "ro": "rw", "sync": "async", "async": "sync", "atime": "noatime", "noatime": "atime",
	"diratime": "nodiratime", "nodiratime": "diratime", "relatime": "norelatime", "norelatime": "relatime",
	"strictatime": "nostrictatime", "nostrictatime": "strictatime",
}

// tmpfsKeys are the options with a value that the kernel's tmpfs has.
var tmpfsKeys = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}

// TmpfsMount returns the mount of a tmpfs with options as in HostConfig.Tmpfs, for example "size=64m,exec". A tmpfs is
// noexec, nosuid and nodev unless they say otherwise.
func TmpfsMount(dest, options string) (specs.Mount, error) {
	merged := []string{"noexec", "nosuid", "nodev", "rprivate"}
	for _, o := range strings.Split(options, ",") {
		name, _, hasValue := strings.Cut(o, "=")
		opposite, isFlag := flagPairs[o]
		switch {
		case o == "":
			continue
		case hasValue && slices.Contains(tmpfsKeys, name):
			merged = slices.DeleteFunc(merged, func(m string) bool { return strings.HasPrefix(m, name+"=") })
		case isFlag:
			merged = slices.DeleteFunc(merged, func(m string) bool { return m == opposite || m == o })
		case slices.Contains([]string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}, o):
			merged = slices.DeleteFunc(merged, func(m string) bool { return m == "rprivate" })
		default:
			return specs.Mount{}, invalid("Tmpfs", "%q is no option of the tmpfs at %s", o, dest)
		}
		merged = append(merged, o)
	}
	return specs.Mount{Destination: dest, Type: "tmpfs", Source: "tmpfs", Options: merged}, nil
}

// TmpfsOptions writes the options of a mount of type tmpfs, which may be nil, as TmpfsMount takes them.
func TmpfsOptions(opts *mount.TmpfsOptions) (string, error) {
	if opts == nil {
		return "", nil
	}
	var list []string
	if opts.SizeBytes > 0 {
		list = append(list, "size="+strconv.FormatInt(opts.SizeBytes, 10))
	}
	if opts.Mode != 0 {
		list = append(list, "mode="+strconv.FormatUint(uint64(opts.Mode.Perm())|uint64(opts.Mode&0o7000), 8))
	}
	for _, o := range opts.Options {
		if len(o) == 0 || len(o) > 2 {
			return "", invalid("TmpfsOptions", "%q is neither a flag nor a key with its value", o)
		}
		list = append(list, strings.Join(o, "="))
	}
	return strings.Join(list, ","), nil
}
