package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// portOwner names the process that has a port, as far as it can be found: "nginx (process 123)".
func portOwner(p protocol.PortReservation) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/" + p.Proto, "/proc/net/" + p.Proto + "6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		collectInodes(string(b), p.Port, p.Proto == "tcp", inodes)
	}
	if len(inodes) == 0 {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err != nil || pid == strconv.Itoa(os.Getpid()) {
			return "another container"
		}
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// collectInodes finds the sockets bound to the port in a table of proc_pid_net(5), as links in /proc/PID/fd show them.
func collectInodes(table string, port uint16, listening bool, into map[string]bool) {
	const (
		local, state, inode = 1, 3, 9
		listen              = "0A"
	)
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > inode && strings.HasSuffix(f[local], suffix) && (!listening || f[state] == listen) {
			into["socket:["+f[inode]+"]"] = true
		}
	}
}
