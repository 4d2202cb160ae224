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
	made, causes := u.madeWith(s, m)
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
func (u *up) madeWith(s *service, m *member) (desired.Settings, []string) {
	now := m.now
	switch {
	case now.Hash == m.Hash:
		return m.Settings, nil
	case now.Hash == "":
		if now.ComposeHash != "" && now.ComposeHash == u.composeHash(s) {
			return m.Settings, nil
		}
		return nil, []string{"it was made by another program, or its configuration changed"}
	}
	if was, ok := desired.Unpack(now.Config); ok {
		return was, nil
	}
	return nil, []string{"configuration changed"}
}

// composeHash is the service's config hash with the IDs of the containers that are there now.
func (u *up) composeHash(s *service) string {
	if s.References == nil {
		return s.ComposeHash
	}
	return s.References.Hash(func(name string) string {
		for _, c := range u.state.Of(name) { // Docker Compose takes the first by name, which is the first by number
			return c.ID
		}
		return ""
	})
}

// referred are the containers that stand for the services in references, as operations name them.
func (u *up) referred(r *desired.References) map[string]string {
	if r == nil {
		return nil
	}
	out := make(map[string]string, len(r.Services))
	for _, name := range r.Services {
		other := u.services[name]
		switch {
		case other != nil && len(other.members) > 0:
			out[name] = other.members[0].madeAs()
		default:
			for _, c := range u.state.Of(name)[:min(1, len(u.state.Of(name)))] {
				out[name] = c.ID
			}
		}
	}
	return out
}

// madeAs is how operations name the container from its creation on: by its ID if it is there and stays, else by its first name.
func (m *member) madeAs() string {
	switch {
	case m.now != nil && len(m.causes) == 0:
		return m.now.ID
	case m.before != nil && m.before.Temporary != "":
		return m.before.Temporary
	}
	return m.Name
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
