package spec

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/container"
)

// defaultSysctls let any user ping and bind any port, inside the container's own network.
var defaultSysctls = sync.OnceValue(func() map[string]string {
	found := map[string]string{}
	for name, value := range map[string]string{
		"net.ipv4.ping_group_range":           "0 2147483647",
		"net.ipv4.ip_unprivileged_port_start": "0",
	} {
		if _, err := os.Stat(filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))); err == nil {
			found[name] = value
		}
	}
	return found
})

// ipcSysctls are those of the kernel that belong to the IPC namespace, apart from fs.mqueue.
var ipcSysctls = []string{
	"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
	"kernel.shm_rmid_forced",
}

func sysctls(host *container.HostConfig) map[string]string {
	set := map[string]string{}
	if host.NetworkMode.IsPrivate() {
		maps.Copy(set, defaultSysctls())
	}
	for name, value := range host.Sysctls {
		set[strings.ReplaceAll(name, "/", ".")] = value
	}
	if len(set) == 0 {
		return nil
	}
	return set
}

// checkSysctls refuses settings that are not of a namespace that the container has for itself: they would be the host's.
func checkSysctls(host *container.HostConfig) error {
	for name := range host.Sysctls {
		dotted := strings.ReplaceAll(name, "/", ".")
		var field string
		var shared bool
		switch {
		case slices.Contains(ipcSysctls, dotted) || strings.HasPrefix(dotted, "fs.mqueue."):
			field, shared = "IpcMode", host.IpcMode.IsHost()
		case strings.HasPrefix(dotted, "net."):
			field, shared = "NetworkMode", host.NetworkMode.IsHost()
		case dotted == "kernel.domainname":
			field, shared = "UTSMode", host.UTSMode.IsHost()
		default:
			return invalid("Sysctls", "%s is not separate for a container", name)
		}
		if shared {
			return invalid("Sysctls", "%s would change the host's, because %s is \"host\"", name, field)
		}
	}
	return nil
}
