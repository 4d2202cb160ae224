package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// migration gives the kernel notice that a process is going to move to another control group. With control groups of
// version 1 every container's process has to, and the first that moves after a while waits some ten milliseconds for
// all processors to pass a quiet state (the grace period of cgroup_threadgroup_rwsem); those that follow do not. The
// engine moves to where it is, which changes nothing, and that wait passes while it prepares the container.
type migration struct {
	underWay atomic.Bool
}

// announce returns at once.
func (m *migration) announce() {
	procs := ownGroup()
	if procs == "" || !m.underWay.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer m.underWay.Store(false)
		f, err := os.OpenFile(procs, os.O_WRONLY, 0)
		if err != nil {
			return // then the container waits
		}
		defer f.Close() //nolint:errcheck // likewise
		_, _ = f.WriteString("0")
	}()
}

// ownGroup is the file that lists the processes of this one's freezer group, empty if there is no such file or if this
// process is not in it, as in a container that sees the groups of its host.
var ownGroup = sync.OnceValue(func() string {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || unifiedCgroups() {
		return ""
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // cgroups(7)
		if len(fields) != 3 || fields[1] != "freezer" {
			continue
		}
		procs := filepath.Join(cgroupRoot, fields[1], fields[2], "cgroup.procs")
		if hasLine(procs, strconv.Itoa(os.Getpid())) {
			return procs
		}
	}
	return ""
})

func hasLine(path, wanted string) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(content)) {
		if strings.TrimSpace(line) == wanted {
			return true
		}
	}
	return false
}
