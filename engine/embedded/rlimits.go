package embedded

import (
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ownNofile is how many files the engine's processes may open at most; 0 if they may raise that as they like.
var ownNofile = sync.OnceValue(func() uint64 {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	err := unix.Capget(&header, &sets[0])
	if err == nil && sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0 {
		return 0
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return limit.Max
})

// fitRlimits lowers the standard limit of open files to what the engine may grant, where it runs confined itself. A
// limit that the user asked for is left alone: it is granted or refused.
func fitRlimits(s *specs.Spec, asked []*container.Ulimit) {
	most := ownNofile()
	if most == 0 || s.Process == nil {
		return
	}
	for _, u := range asked {
		if strings.EqualFold(u.Name, "nofile") {
			return
		}
	}
	for i := range s.Process.Rlimits {
		if r := &s.Process.Rlimits[i]; r.Type == "RLIMIT_NOFILE" {
			r.Hard, r.Soft = min(r.Hard, most), min(r.Soft, most)
		}
	}
}
