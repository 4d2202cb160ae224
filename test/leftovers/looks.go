package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
)

// looks says how each kind of thing is counted.
var looks = map[string]func() ([]string, error){
	"process":           processes,
	"mount":             mounts,
	"network namespace": networkNamespaces,
	"link":              links,
	"address":           addresses,
	"route":             routes,
	"nftables table":    tables,
	"cgroup":            cgroups,
	"folder":            folders,
	"host's file":       outside,
}

// processes names each process by its start time and command, because numbers are used again.
func processes() ([]string, error) {
	return eachProcess(func(pid int) (string, bool) {
		cmd, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		stat := statFields(pid)
		if err != nil || len(cmd) == 0 || len(stat) < 20 || !ofTests(pid) {
			return "", false
		}
		return fmt.Sprintf("%d (started at %s) %s", pid, stat[19], strings.TrimSpace(string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))), true
	})
}

// ofTests tells what tests start from what else goes on on the machine: it has inherited their environment, or it lives in
// a namespace of its own, as shims and containers do.
func ofTests(pid int) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err == nil && bytes.Contains(environ, []byte("STACK_TEST_BINARY=")) {
		return true
	}
	for _, kind := range []string{"mnt", "pid", "net"} {
		its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		ours, ourErr := os.Readlink("/proc/self/ns/" + kind)
		if err == nil && ourErr == nil && its != ours {
			return true
		}
	}
	return false
}

// statFields returns the fields of /proc/PID/stat from the third on: state, parent, and, as the twentieth, the start time.
func statFields(pid int) []string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

func eachProcess(name func(pid int) (string, bool)) ([]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if n, ok := name(pid); ok {
			out = append(out, n)
		}
	}
	return out, nil
}

// mounts lists the mounts that everybody sees. One in a namespace of its own goes with the last process in it, and those are counted.
func mounts() ([]string, error) {
	data, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, f[4])
		}
	}
	return out, nil
}

func networkNamespaces() ([]string, error) {
	held, err := eachProcess(func(pid int) (string, bool) {
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		return ns, err == nil
	})
	if err != nil {
		return nil, err
	}
	named, err := os.ReadDir("/run/netns")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range named {
		held = append(held, e.Name())
	}
	return held, nil
}

func links() ([]string, error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, l := range all {
		out = append(out, l.Type()+" "+l.Attrs().Name)
	}
	return out, nil
}

func addresses() ([]string, error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, a := range all {
		out = append(out, a.IPNet.String())
	}
	return out, nil
}

func routes() ([]string, error) {
	all, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range all {
		out = append(out, fmt.Sprintf("%v via %v", r.Dst, r.Gw))
	}
	return out, nil
}

func tables() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	all, err := c.ListTables()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range all {
		out = append(out, fmt.Sprintf("%d %s", t.Family, t.Name))
	}
	return out, nil
}

func cgroups() ([]string, error) {
	var out []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

// temporary are the names under which tests of this repository and what they start make temporary files.
var temporary = []string{"Test*", "Benchmark*", "Fuzz*", "e2e*", "sb*", "dockerd-*", "registry*", "stack*", "testscript*", "go-test-script*"}

// folders lists where engines keep things when nobody says otherwise, and temporary folders.
func folders() ([]string, error) {
	patterns := []string{"/var/lib/stack", "/run/stack", "/run/netns/*", "/run/docker*", "/var/lib/docker", "/run/containerd"}
	for _, name := range temporary {
		patterns = append(patterns, filepath.Join(os.TempDir(), name))
	}
	var out []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// outside lists what the host has at its top and in /etc, with permissions: where a test writes that follows a link too far.
func outside() ([]string, error) {
	var out []string
	for _, dir := range []string{"/", "/etc"} {
		top, err := os.Lstat(dir)
		if err != nil {
			return nil, err
		}
		out = append(out, dir+" "+top.Mode().String())
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			out = append(out, filepath.Join(dir, e.Name())+" "+info.Mode().String())
		}
	}
	return out, nil
}
