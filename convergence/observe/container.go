package observe

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

func byServiceAndNumber(a, b state.Container) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Name, b.Name))
}

func containerOf(c *container.Summary) state.Container {
	number, _ := strconv.Atoi(c.Labels[desired.LabelNumber]) // 0 for one-off containers, which have none
	out := state.Container{
		ID:          c.ID,
		Service:     c.Labels[desired.LabelService],
		Number:      number,
		Hook:        c.Labels[desired.LabelHook],
		OneOff:      strings.EqualFold(c.Labels[desired.LabelOneOff], "true"),
		Image:       c.Image,
		ImageID:     cmp.Or(c.Labels[desired.LabelImage], c.ImageID),
		Status:      state.Status(c.State),
		Hash:        c.Labels[desired.LabelHash],
		Config:      c.Labels[desired.LabelConfig],
		ComposeHash: c.Labels[desired.LabelConfigHash],
		Volumes:     volumes(c.Mounts),
		Anonymous:   anonymous(c.Mounts),
		DependsOn:   dependsOn(c.Labels[desired.LabelDependsOn]),
		Created:     time.Unix(c.Created, 0).UTC(),
	}
	for _, p := range c.Ports {
		if p.PublicPort != 0 {
			out.Ports = append(out.Ports, strconv.Itoa(int(p.PublicPort)))
		}
	}
	slices.Sort(out.Ports)
	out.Ports = slices.Compact(out.Ports)
	if len(c.Names) > 0 {
		out.Name = strings.TrimPrefix(c.Names[0], "/")
	}
	if c.NetworkSettings != nil {
		out.Networks = slices.Sorted(maps.Keys(c.NetworkSettings.Networks))
	}
	out.Health, out.ExitCode = readStatus(c.Status)
	return out
}

var exitedWith = regexp.MustCompile(`^Exited \((\d+)\)`)

// readStatus reads what the list tells only in words: "Up 2 minutes (healthy)", "Exited (1) 3 seconds ago".
func readStatus(text string) (state.Health, int) {
	switch {
	case strings.Contains(text, "(healthy)"):
		return state.Healthy, 0
	case strings.Contains(text, "(unhealthy)"):
		return state.Unhealthy, 0
	case strings.Contains(text, "(health: starting)"):
		return state.Starting, 0
	}
	if m := exitedWith.FindStringSubmatch(text); m != nil {
		code, _ := strconv.Atoi(m[1]) // digits
		return state.NoHealth, code
	}
	return state.NoHealth, 0
}

// anonymousName is what engines call volumes that nobody named.
var anonymousName = regexp.MustCompile(`^[0-9a-f]{64}$`)

func anonymous(mounts []container.MountPoint) map[string]string {
	var out map[string]string
	for _, m := range mounts {
		if m.Type != mount.TypeVolume || !anonymousName.MatchString(m.Name) {
			continue
		}
		if out == nil {
			out = make(map[string]string)
		}
		out[m.Destination] = m.Name
	}
	return out
}

func volumes(mounts []container.MountPoint) []string {
	var out []string
	for _, m := range mounts {
		if m.Type == mount.TypeVolume {
			out = append(out, m.Name)
		}
	}
	slices.Sort(out)
	return out
}

func dependsOn(label string) []string {
	var out []string
	for part := range strings.SplitSeq(label, ",") {
		if name, _, _ := strings.Cut(part, ":"); name != "" {
			out = append(out, name)
		}
	}
	return out
}
