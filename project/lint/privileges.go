package lint

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

var privileged = Rule{
	Name:    "privileged",
	Summary: "a container with all rights",
	Why:     "whoever gets into the container owns the machine",
	Bad:     "services:\n  vpn:\n    image: vpn:1\n    privileged: true\n",
	Good:    "services:\n  vpn:\n    image: vpn:1\n    cap_add: [NET_ADMIN]\n    devices: [/dev/net/tun]\n",
	check: func(l *linter) {
		const fix = "write the capabilities and devices that it needs: cap_add, devices"
		for _, name := range l.names {
			s := l.all[name]
			if s.Privileged {
				l.find(fmt.Sprintf("service %s is privileged", name), fix, "services", name, "privileged")
			}
			if i := slices.IndexFunc(s.CapAdd, func(c string) bool { return strings.EqualFold(c, "ALL") || strings.EqualFold(c, "CAP_ALL") }); i >= 0 {
				l.find(fmt.Sprintf("service %s has all capabilities", name), fix, "services", name, "cap_add", strconv.Itoa(i))
			}
		}
	},
}

var hostNamespace = Rule{
	Name:    "host-namespace",
	Summary: "a container that shares the host's processes, network, or the like",
	Why:     "what keeps the container apart from the host is switched off",
	Bad:     "services:\n  agent:\n    image: agent:1\n    pid: host\n",
	Good:    "services:\n  agent:\n    image: agent:1\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			for _, n := range []struct{ attribute, value, what string }{
				{"pid", s.Pid, "sees and can signal all processes of the host"},
				{"network_mode", s.NetworkMode, "is on the host's network, and reaches what listens on 127.0.0.1"},
				{"ipc", s.Ipc, "shares memory with the processes of the host"},
				{"userns_mode", s.UserNSMode, "has the host's user IDs"},
				{"uts", s.Uts, "can change the host's name"},
				{"cgroup", s.Cgroup, "sees the host's control groups"},
			} {
				if n.value == "host" {
					l.find(fmt.Sprintf("service %s %s", name, n.what), "remove "+n.attribute+" if it is not needed", "services", name, n.attribute)
				}
			}
		}
	},
}

// sockets are those through which container engines are driven.
var sockets = []string{"docker.sock", "podman.sock", "containerd.sock", "crio.sock"}

var engineSocket = Rule{
	Name:    "engine-socket",
	Summary: "the engine's socket in a container",
	Why:     "whoever gets into the container can start a privileged one and owns the machine; mounting it read-only does not help",
	Bad:     "services:\n  proxy:\n    image: traefik:3.5\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock:ro\n",
	Good:    "services:\n  proxy:\n    image: traefik:3.5\n    # the address of a proxy that lets reading requests through only\n    environment: {DOCKER_HOST: \"tcp://socket-proxy:2375\"}\n",
	check: func(l *linter) {
		const fix = "put a proxy between that allows only the requests that are needed"
		for _, name := range l.names {
			s := l.all[name]
			for i, m := range s.Volumes {
				if m.Type == types.VolumeTypeBind && slices.Contains(sockets, filepath.Base(m.Source)) {
					l.find(fmt.Sprintf("service %s gets the engine's socket %s", name, m.Source), fix, "services", name, "volumes", strconv.Itoa(i))
				}
			}
			if s.UseAPISocket {
				l.find(fmt.Sprintf("service %s gets the engine's socket", name), fix, "services", name, "use_api_socket")
			}
		}
	},
}

// wholesome are files of the host that containers are given everywhere, and can do no harm with when they are read-only.
var wholesome = []string{"/etc/localtime", "/etc/timezone", "/etc/ssl/certs", "/etc/machine-id", "/usr/share/zoneinfo"}

var bindOutsideProject = Rule{
	Name:    "bind-outside-project",
	Summary: "a mount of a file or folder that is not the project's",
	Why:     "the project does not run elsewhere without it, and the container can read or change what is not the project's",
	Bad:     "services:\n  web:\n    image: app:1\n    volumes:\n      - /srv/data:/data\n",
	Good:    "services:\n  web:\n    image: app:1\n    volumes:\n      - data:/data\nvolumes:\n  data:\n",
	check: func(l *linter) {
		for _, name := range l.names {
			for i, m := range l.all[name].Volumes {
				if m.Type != types.VolumeTypeBind || l.own(m.Source) || slices.Contains(sockets, filepath.Base(m.Source)) ||
					m.ReadOnly && slices.ContainsFunc(wholesome, func(w string) bool { return within(m.Source, w) }) {
					continue
				}
				l.find(fmt.Sprintf("%s is outside the project", m.Source), "keep it in a volume, or below the project's folder", "services", name, "volumes", strconv.Itoa(i))
			}
		}
	},
}

// own says whether the path is below the project's folder, or below that of one of its Compose files.
func (l *linter) own(path string) bool {
	return within(path, l.Dir) || slices.ContainsFunc(l.Files, func(f string) bool { return within(path, filepath.Dir(f)) })
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
