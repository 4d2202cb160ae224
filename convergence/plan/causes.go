package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// causes says why the container that is there must be replaced. Empty: it need not.
func (u *up) causes(s *service, m *member) []string {
	policy := u.options.RecreateDeps
	if s.asked {
		policy = u.options.Recreate
	}
	stranded := u.stranded(s, m)
	switch {
	case m.now.Status == state.Dead:
		return []string{"it is dead"}
	case policy == RecreateNever && stranded != "":
		return []string{stranded}
	case policy == RecreateNever:
		return nil
	case policy == RecreateForce && !u.options.Touched[m.Name]:
		return []string{"it was asked for"}
	}
	var out []string
	if s.imageID != "" && m.now.ImageID != s.imageID {
		out = append(out, fmt.Sprintf("image changed: %s → %s", shortID(m.now.ImageID), shortID(s.imageID)))
	}
	out = append(out, u.difference(s, m)...)
	for _, name := range s.Shares {
		if other := u.services[name]; other != nil && other.made {
			out = append(out, recreatedWith(name))
		}
	}
	if stranded != "" && !slices.Contains(out, stranded) {
		out = append(out, stranded)
	}
	return out
}

// difference says why the container must be made anew, and leaves what can be changed in place in m. What cannot change while
// a container stays is compared with its labels, the rest with what the engine has.
func (u *up) difference(s *service, m *member) []string {
	made, causes := madeWith(s, m)
	if len(causes) > 0 {
		return causes
	}
	changes := changesOf(made, m)
	if m.now.Mutable == nil {
		return inWords(changes)
	}
	lim := compareLimits(made, m.now.Mutable, m.Settings)
	attachments, anew := u.attachments(m, made)
	causes = slices.Concat(inWords(slices.DeleteFunc(changes, inPlaceChange(made, m.Settings))), inWords(lim.recreate), anew)
	if len(causes) == 0 {
		m.limits, m.attachments, m.compared = lim, attachments, true
	}
	return causes
}

// madeWith are the settings with which the container was made, if that can be told; else the cause to make it anew. A container
// that Docker Compose made is compared by Compose's hash.
func madeWith(s *service, m *member) (desired.Settings, []string) {
	now := m.now
	switch {
	case now.Hash == m.Hash:
		return m.Settings, nil
	case now.Hash == "":
		if now.ComposeHash != "" && now.ComposeHash == s.ComposeHash {
			return m.Settings, nil
		}
		return nil, []string{"it was made by another program, or its configuration changed"}
	}
	if was, ok := desired.Unpack(now.Config); ok {
		return was, nil
	}
	return nil, []string{"configuration changed"}
}

func changesOf(made desired.Settings, m *member) []desired.Change {
	if m.now.Hash == m.Hash || m.now.Hash == "" {
		return nil
	}
	return desired.Changes(made, m.Settings)
}

// inPlaceChange finds the changes that are not the labels' affair. The network mode is none of its own where it names one of
// the container's networks.
func inPlaceChange(made, want desired.Settings) func(desired.Change) bool {
	return func(c desired.Change) bool {
		return desired.Mutable(c.Name) || c.Name == "NetworkMode" && modeNamesEndpoint(made) && modeNamesEndpoint(want)
	}
}

func modeNamesEndpoint(s desired.Settings) bool {
	mode, _ := s.Get("NetworkMode")
	_, ok := s.Endpoint(mode)
	return ok && mode != ""
}

// bound says whether a bind in the older form is mounted at the target.
func bound(host *container.HostConfig, target string) bool {
	if _, ok := host.Tmpfs[target]; ok {
		return true
	}
	return slices.ContainsFunc(host.Binds, func(bind string) bool {
		parts := strings.Split(bind, ":")
		return len(parts) > 1 && parts[1] == target
	})
}
