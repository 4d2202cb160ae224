package shim

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/cgroups"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

func (c *container) stats() (any, error) {
	if err := c.expect("measure", protocol.Created, protocol.Running, protocol.Paused); err != nil {
		return nil, err
	}
	s, err := c.init.Stats()
	if err != nil {
		return nil, err
	}
	return protocol.Stats{
		Read: time.Now().UTC(), Cgroup: s.CgroupStats, Unified: cgroups.IsCgroup2UnifiedMode(),
		Interfaces: c.interfaces(),
	}, nil
}

// interfaces parses proc_pid_net_dev(5). A process that is gone has none.
func (c *container) interfaces() map[string]protocol.InterfaceStats {
	file, err := c.process.OpenProc("net/dev", os.O_RDONLY)
	if err != nil {
		return nil
	}
	defer file.Close()
	b, err := io.ReadAll(file)
	if err != nil {
		return nil
	}
	out := map[string]protocol.InterfaceStats{}
	for line := range bytes.Lines(b) {
		name, rest, ok := strings.Cut(string(line), ":")
		name = strings.TrimSpace(name)
		f := strings.Fields(rest)
		if !ok || name == "lo" || len(f) < 16 {
			continue
		}
		n := make([]uint64, 16)
		for i := range n {
			n[i], _ = strconv.ParseUint(f[i], 10, 64)
		}
		out[name] = protocol.InterfaceStats{
			RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11],
		}
	}
	return out
}

func (c *container) pids() (any, error) {
	if err := c.expect("list processes of", protocol.Created, protocol.Running, protocol.Paused); err != nil {
		return nil, err
	}
	pids, err := c.init.Processes()
	return protocol.PidsReply{Pids: pids}, err
}

// oomKilled tells whether the kernel killed a process of the container for want of memory.
func (c *container) oomKilled() bool {
	dir, file := c.cgroupPath("memory"), "memory.oom_control"
	if cgroups.IsCgroup2UnifiedMode() {
		file = "memory.events"
	}
	b, err := os.ReadFile(dir + "/" + file)
	if dir == "" || err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}

// cgroupPath is the directory of the container's cgroup in a controller's hierarchy.
func (c *container) cgroupPath(controller string) string {
	state, err := c.init.State()
	if err != nil {
		return ""
	}
	if cgroups.IsCgroup2UnifiedMode() {
		return state.CgroupPaths[""]
	}
	return state.CgroupPaths[controller]
}
