package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// member is a container of a project.
type member struct {
	container.Summary
	name    string
	service string
	number  int
	oneOff  bool
}

// label is the member's name without the project's: "web-1".
func (m member) label() string {
	name := plan.FinalName(m.name)
	for _, separator := range []string{"-", "_"} {
		if short, ok := strings.CutPrefix(name, m.Labels[desired.LabelProject]+separator); ok {
			return short
		}
	}
	return name
}

// runs reports whether processes of the container exist.
func (m member) runs() bool {
	return m.State == container.StateRunning || m.State == container.StatePaused
}

// which says which members of a project are meant.
type which struct {
	services []string // empty for all
	stopped  bool     // also those that do not run
	oneOff   bool     // also those of run
	index    int      // the container of this number only; 0 for all
}

func (w which) meant(m member) bool {
	return (w.oneOff || !m.oneOff) &&
		(len(w.services) == 0 || slices.Contains(w.services, m.service)) &&
		(w.index == 0 || w.index == m.number)
}

// members lists containers of the project, by service and number.
func (s *session) members(ctx context.Context, sc scope, w which) ([]member, error) {
	list, err := s.ContainerList(ctx, container.ListOptions{
		All: w.stopped, Filters: filters.NewArgs(filters.Arg("label", desired.LabelProject+"="+sc.name)),
	})
	if err != nil {
		return nil, err
	}
	var out []member
	seen := map[string]bool{}
	for _, c := range list {
		m := asMember(c)
		seen[m.service] = true
		if w.meant(m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b member) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
	})
	return out, sc.checkServices(w.services, seen)
}

func asMember(c container.Summary) member {
	m := member{Summary: c, service: c.Labels[desired.LabelService], oneOff: strings.EqualFold(c.Labels[desired.LabelOneOff], "true")}
	if len(c.Names) > 0 {
		m.name = strings.TrimPrefix(c.Names[0], "/")
	}
	m.number, _ = strconv.Atoi(c.Labels[desired.LabelNumber])
	return m
}

// checkServices says which of the services neither the project nor its containers know.
func (sc scope) checkServices(names []string, seen map[string]bool) error {
	if sc.project == nil {
		return nil
	}
	var unknown []string
	for _, name := range names {
		if !seen[name] && !sc.hasService(name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	_, err := sc.project.Select(unknown, true)
	return err
}

func (sc scope) hasService(name string) bool {
	_, on := sc.project.Services[name]
	_, off := sc.project.DisabledServices[name]
	return on || off
}

// one returns the running container of a service: of the number, or the one with the lowest if index is 0.
func (s *session) one(ctx context.Context, sc scope, service string, index int) (member, error) {
	list, err := s.members(ctx, sc, which{services: []string{service}, index: index})
	if err != nil {
		return member{}, err
	}
	for _, m := range list {
		if m.State != container.StateCreated {
			return m, nil
		}
	}
	if index > 0 {
		return member{}, engine.Errorf(engine.ErrNotFound, "service %q has no running container of number %d", service, index)
	}
	return member{}, engine.Errorf(engine.ErrNotFound, "service %q is not running", service)
}

// status takes apart what the engine says about how a container fares: "Exited (137) 2 minutes ago",
// "Up 3 seconds (healthy)".
func (m member) status() (exit int, health string) {
	_, rest, ok := strings.Cut(m.Status, "(")
	if !ok {
		return 0, ""
	}
	word, _, _ := strings.Cut(rest, ")")
	if code, err := strconv.Atoi(word); err == nil {
		return code, ""
	}
	word = strings.TrimPrefix(word, "health: ")
	switch word {
	case container.Healthy, container.Unhealthy, container.Starting:
		return 0, word
	}
	return 0, ""
}

// ports shows what is published, as Docker does: "0.0.0.0:8080->80/tcp".
func (m member) ports() string {
	ports := slices.Clone(m.Ports)
	slices.SortFunc(ports, func(a, b container.Port) int {
		return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(a.PublicPort, b.PublicPort), cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(a.Type, b.Type))
	})
	texts := make([]string, len(ports))
	for i, p := range ports {
		texts[i] = fmt.Sprintf("%d/%s", p.PrivatePort, p.Type)
		if p.PublicPort != 0 {
			host := p.IP
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			texts[i] = fmt.Sprintf("%s:%d->%s", host, p.PublicPort, texts[i])
		}
	}
	return strings.Join(texts, ", ")
}
