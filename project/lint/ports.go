package lint

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

var publicPort = Rule{
	Name:    "public-port",
	Summary: "a port that is published on all addresses of the host",
	Why:     "everybody who reaches this machine reaches the port, often past the host's firewall",
	Bad:     "services:\n  db:\n    image: postgres:18\n    ports:\n      - \"5432:5432\"\n",
	Good:    "services:\n  db:\n    image: postgres:18\n    ports:\n      - \"127.0.0.1:5432:5432\"\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			if s.NetworkMode != "" {
				continue
			}
			l.eachPort(s, func(p types.ServicePortConfig, path []string) {
				if a, err := netip.ParseAddr(p.HostIP); err != nil || a.IsUnspecified() {
					l.find(fmt.Sprintf("port %d of service %s is published on all addresses", p.Target, s.Name),
						fmt.Sprintf(`write "127.0.0.1:%s:%d" if only this machine needs it`, p.Published, p.Target), path...)
				}
			})
		}
	},
}

// eachPort calls do once for each entry of the service's ports as the files have them, with the first port of a range.
func (l *linter) eachPort(s types.ServiceConfig, do func(p types.ServicePortConfig, path []string)) {
	var last project.Position
	for i, p := range s.Ports {
		path := []string{"services", s.Name, "ports", strconv.Itoa(i)}
		if at := l.Position(path...); at != last || at.Line == 0 {
			last = at
			do(p, path)
		}
	}
}

var ineffectivePorts = Rule{
	Name:    "ineffective-ports",
	Summary: "ports of a service on the host's network, or on none",
	Why:     "the container has no network of its own that a port could be published from",
	Bad:     "services:\n  web:\n    image: nginx:1.29\n    network_mode: none\n    ports: [\"127.0.0.1:8080:80\"]\n",
	Good:    "services:\n  web:\n    image: nginx:1.29\n    network_mode: none\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			if len(s.Ports) > 0 && (s.NetworkMode == "host" || s.NetworkMode == "none") {
				l.find(fmt.Sprintf("ports have no effect with network_mode %s", s.NetworkMode), "remove ports, or network_mode", "services", name, "ports")
			}
		}
	},
}
