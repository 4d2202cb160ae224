package container

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

func namespacePath(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

// Summary shows the record as lists do, in Docker's form.
func Summary(r *Record, now time.Time, volumePath func(string) string) container.Summary {
	s := container.Summary{
		ID: r.ID, Names: []string{"/" + r.Name}, Image: r.Config.Image, ImageID: r.Image, Command: commandText(r.Config),
		Created: r.Created.Unix(), Ports: portList(r), Labels: r.Config.Labels, State: string(r.State.Phase),
		Status: StatusText(r, now), Mounts: mountPoints(r, volumePath),
		NetworkSettings: &container.NetworkSettingsSummary{Networks: r.Networks()},
	}
	s.HostConfig.NetworkMode = string(r.Host.NetworkMode)
	s.HostConfig.Annotations = engine.DetailsFrom(r.Host, r.State.StartedAt, r.State.RestartCount).Annotate(r.Host.Annotations)
	return s
}

func commandText(c *container.Config) string {
	path, args := Command(c)
	words := []string{path}
	for _, arg := range args {
		if strings.Contains(arg, " ") {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

func portList(r *Record) []container.Port {
	list := []container.Port{}
	if !r.State.Active() {
		return list
	}
	for port, bindings := range ports(r) {
		private := container.Port{PrivatePort: uint16(port.Int()), Type: port.Proto()}
		if len(bindings) == 0 {
			list = append(list, private)
		}
		for _, binding := range bindings {
			published := private
			published.IP = binding.HostIP
			if public, err := nat.ParsePort(binding.HostPort); err == nil {
				published.PublicPort = uint16(public)
			}
			list = append(list, published)
		}
	}
	slices.SortFunc(list, func(a, b container.Port) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(a.Type, b.Type), cmp.Compare(a.PublicPort, b.PublicPort),
			cmp.Compare(a.IP, b.IP))
	})
	return list
}
