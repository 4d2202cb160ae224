package spec

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const allAccess = "rwm"

// defaultDevices are the rules of a usual container: nothing but null, zero, full, random, urandom, tty and console.
// The runtime adds the terminals and the making of nodes, which open nothing.
func defaultDevices() []specs.LinuxDeviceCgroup {
	rules := []specs.LinuxDeviceCgroup{{Access: allAccess}}
	for _, minor := range []int64{3, 5, 7, 8, 9} {
		rules = append(rules, allowed("c", 1, minor, allAccess))
	}
	return append(rules, allowed("c", 5, 0, allAccess), allowed("c", 5, 1, allAccess))
}

func allowed(kind string, major, minor int64, access string) specs.LinuxDeviceCgroup {
	return specs.LinuxDeviceCgroup{Allow: true, Type: kind, Major: &major, Minor: &minor, Access: access}
}

// addDevices gives the container the nodes that it asks for and the right to open them.
func addDevices(l *specs.Linux, host *container.HostConfig) error {
	if host.Privileged {
		return addAllDevices(l, host)
	}
	l.Resources.Devices = defaultDevices()
	for _, d := range host.Devices {
		access := d.CgroupPermissions
		if access == "" {
			access = allAccess
		}
		if strings.Trim(access, allAccess) != "" {
			return invalid("Devices", "%q of %s is not made of r, w and m", access, d.PathOnHost)
		}
		nodes, err := devicesAt(d)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			l.Devices = append(l.Devices, n)
			l.Resources.Devices = append(l.Resources.Devices, allowed(n.Type, n.Major, n.Minor, access))
		}
	}
	rules, err := deviceRules(host.DeviceCgroupRules)
	l.Resources.Devices = append(l.Resources.Devices, rules...)
	return err
}

// addAllDevices gives a privileged container every node of the host, and those that it wants under other names.
func addAllDevices(l *specs.Linux, host *container.HostConfig) error {
	nodes, err := walkDevices("/dev", "/dev")
	if err != nil {
		return invalid("Privileged", "the host's devices cannot be listed: %w", err)
	}
	l.Devices = nodes
	for _, d := range host.Devices {
		if d.PathOnHost == d.PathInContainer {
			continue
		}
		more, err := devicesAt(d)
		if err != nil {
			return err
		}
		l.Devices = append(l.Devices, more...)
	}
	l.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: allAccess}}
	return nil
}

// devicesAt returns the node, or all nodes below the directory, that the mapping names.
func devicesAt(d container.DeviceMapping) ([]specs.LinuxDevice, error) {
	inside := d.PathInContainer
	if inside == "" {
		inside = d.PathOnHost
	}
	if !path.IsAbs(d.PathOnHost) || !path.IsAbs(inside) {
		return nil, unsupported("Devices", "%q is not a path; devices by name need a driver", d.PathOnHost)
	}
	real, err := filepath.EvalSymlinks(d.PathOnHost)
	if err != nil {
		return nil, invalid("Devices", "%w", err)
	}
	nodes, err := walkDevices(real, inside)
	if err != nil {
		return nil, invalid("Devices", "%w", err)
	}
	if len(nodes) == 0 {
		return nil, invalid("Devices", "%s is not a device", d.PathOnHost)
	}
	return nodes, nil
}

// walkDevices returns the nodes at and below a path of the host, as they are called inside the container.
func walkDevices(onHost, inside string) ([]specs.LinuxDevice, error) {
	var nodes []specs.LinuxDevice
	err := filepath.WalkDir(onHost, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p != onHost { // unplugged meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if e.IsDir() && p != onHost && slices.Contains([]string{"pts", "shm", "fd", "mqueue", ".udev"}, e.Name()) {
			return fs.SkipDir // each container has its own
		}
		if e.Type()&fs.ModeDevice == 0 || p == "/dev/console" {
			return nil
		}
		node, err := device(p, path.Join(inside, strings.TrimPrefix(p, onHost)))
		if err == nil {
			nodes = append(nodes, node)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	return nodes, err
}

func device(onHost, inside string) (specs.LinuxDevice, error) {
	var st unix.Stat_t
	if err := unix.Lstat(onHost, &st); err != nil {
		return specs.LinuxDevice{}, &os.PathError{Op: "stat", Path: onHost, Err: err}
	}
	kind := "c"
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		kind = "b"
	}
	mode := os.FileMode(st.Mode & 0o777)
	return specs.LinuxDevice{
		Path: inside, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)),
		FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}, nil
}

var ruleFormat = regexp.MustCompile(`^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$`)

// deviceRules reads rules such as "c 13:* rw".
func deviceRules(rules []string) ([]specs.LinuxDeviceCgroup, error) {
	var out []specs.LinuxDeviceCgroup
	for _, rule := range rules {
		m := ruleFormat.FindStringSubmatch(rule)
		if m == nil {
			return nil, invalid("DeviceCgroupRules", "%q is not like \"c 13:* rwm\"", rule)
		}
		major, err1 := ruleNumber(m[2])
		minor, err2 := ruleNumber(m[3])
		if err := errors.Join(err1, err2); err != nil {
			return nil, invalid("DeviceCgroupRules", "%q: %w", rule, err)
		}
		out = append(out, allowed(m[1], major, minor, m[4]))
	}
	return out, nil
}

// ruleNumber reads a number; -1 stands for any.
func ruleNumber(s string) (int64, error) {
	if s == "*" {
		return -1, nil
	}
	return strconv.ParseInt(s, 10, 64)
}
