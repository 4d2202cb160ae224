package record

import (
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
)

// Image is an image that a state of a project is made of.
type Image struct {
	ID      string
	Ref     string // what it was called then
	Service string // that uses it
}

// Uses are the images that containers of the project were made of, sorted by service.
func (r *Record) Uses() []Image {
	var out []Image
	for i := range r.Desired.Services {
		s := &r.Desired.Services[i]
		if s.Provider != nil || len(s.Containers) == 0 {
			continue
		}
		out = append(out, Image{ID: r.imageOf(s), Ref: s.Image, Service: s.Name})
		for j := range s.PreStart {
			out = append(out, Image{ID: r.imageOfHook(s, &s.PreStart[j]), Ref: s.PreStart[j].Image, Service: s.Name})
		}
	}
	out = slices.DeleteFunc(out, func(i Image) bool { return i.ID == "" })
	return slices.Compact(out)
}

func (r *Record) imageOfHook(s *desired.Service, h *desired.PreStart) string {
	if h.Image == s.Image {
		return r.imageOf(s)
	}
	return r.Images[h.Image]
}

// Pinned is the project with the images of then, which are neither built nor pulled. now tells which IDs the references have
// now; a container is made by the reference where that still means the same, and by the ID elsewhere.
func (r *Record) Pinned(now map[string]string) *desired.Project {
	out := *r.Desired
	out.Services = slices.Clone(out.Services)
	pin := func(ref, id string) string {
		if id == "" || now[ref] == id {
			return ref
		}
		return id
	}
	for i := range out.Services {
		s := &out.Services[i]
		ref := pin(s.Image, r.imageOf(s))
		s.PreStart = slices.Clone(s.PreStart)
		for j := range s.PreStart {
			h := &s.PreStart[j]
			h.Image = pin(h.Image, r.imageOfHook(s, h))
			h.Pull, h.Refresh = desired.PullNever, 0
			config := *h.Config.Config
			config.Image = h.Image
			h.Config.Config = &config
		}
		s.Containers = slices.Clone(s.Containers)
		for j := range s.Containers {
			config := *s.Containers[j].Config.Config
			config.Image = ref
			s.Containers[j].Config.Config = &config
		}
		if s.Provider == nil {
			s.Image, s.Pull, s.Refresh, s.PullFirst, s.Build = ref, desired.PullNever, 0, false, nil
		}
	}
	return &out
}

// Without adds services to the project that are to have no containers: those of the names that it does not know.
func Without(p *desired.Project, names []string) *desired.Project {
	out := *p
	out.Services = slices.Clone(out.Services)
	for _, name := range names {
		if p.Service(name) == nil && !slices.Contains(p.Disabled, name) {
			out.Services = append(out.Services, desired.Service{Name: name})
		}
	}
	slices.SortFunc(out.Services, func(a, b desired.Service) int { return strings.Compare(a.Name, b.Name) })
	return &out
}
