package plan

import (
	"slices"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// inNamespacesOf says that the service's containers live in namespaces of the other's first one.
func inNamespacesOf(s, other *desired.Service) bool {
	if len(s.Containers) == 0 || len(other.Containers) == 0 {
		return false
	}
	return slices.Contains(namespaces(s.Containers[0].Config.Host), "container:"+other.Containers[0].Name)
}

// namespaces are the container's, as far as they may be another one's.
func namespaces(h *container.HostConfig) []string {
	return []string{string(h.NetworkMode), string(h.IpcMode), string(h.PidMode), string(h.UTSMode), string(h.CgroupnsMode)}
}

// stranded says why the container cannot be started again, or "": an engine notes the ID of the container whose namespaces
// another one enters, and that one is gone, or goes.
func (u *up) stranded(s *service, m *member) string {
	for _, name := range s.Shares {
		other := u.index.services[name]
		if other == nil || !inNamespacesOf(s.Service, other) {
			continue
		}
		entered, goes := u.entered(other)
		switch {
		case goes:
			return recreatedWith(name)
		case entered == nil || len(m.now.Joins) == 0:
		case !slices.Contains(m.now.Joins, entered.ID) && !slices.Contains(m.now.Joins, entered.Name):
			return "the container of " + name + " is gone whose namespaces it is in"
		}
	}
	return ""
}

// entered is the service's container that others enter, if it is there, and whether it is made anew.
func (u *up) entered(s *desired.Service) (now *state.Container, goes bool) {
	if known := u.services[s.Name]; known != nil && len(known.members) > 0 {
		first := known.members[0]
		return first.now, first.now == nil || len(first.causes) > 0
	}
	for _, c := range u.state.Of(s.Name) {
		if c.Name == s.Containers[0].Name {
			return &c, false
		}
	}
	return nil, false
}

func recreatedWith(name string) string {
	return name + " is recreated, and it shares namespaces or volumes with it"
}
