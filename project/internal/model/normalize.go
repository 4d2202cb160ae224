package model

import (
	"path"
	"strings"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

func normalizeContainer(c *types.ContainerSpec) {
	if c.PullPolicy == types.PullPolicyIfNotPresent {
		c.PullPolicy = types.PullPolicyMissing
	}
	for i := range c.Volumes {
		c.Volumes[i].Target = path.Clean(c.Volumes[i].Target)
	}
}

// network puts a container that states none into the default network.
func (b *builder) network(c *types.ContainerSpec, v *tree.Value) {
	if v.Get("network_mode") != nil {
		return
	}
	if len(c.Networks) == 0 {
		c.Networks = map[string]*types.ServiceNetworkConfig{"default": nil}
	}
	if _, ok := c.Networks["default"]; ok {
		b.defaultNetwork = true
	}
}

// implyDependencies adds the services that a container shares something with to those that it depends on.
func implyDependencies(c *types.ContainerSpec, w *types.WorkloadSpec, links []string) {
	imply := func(service string, restart bool) {
		if _, ok := w.DependsOn[service]; ok {
			return
		}
		if w.DependsOn == nil {
			w.DependsOn = make(types.DependsOnConfig)
		}
		w.DependsOn[service] = types.ServiceDependency{Condition: types.ServiceConditionStarted, Restart: restart, Required: true}
	}
	for _, link := range links {
		if name, _, ok := strings.Cut(link, ":"); ok && strings.Count(link, ":") == 1 {
			link = name
		}
		imply(link, true)
	}
	for _, mode := range [...]string{c.NetworkMode, c.Ipc, c.Pid, c.Uts, c.Cgroup} {
		if service, ok := strings.CutPrefix(mode, types.ServicePrefix); ok {
			imply(service, true)
		}
	}
	for _, from := range c.VolumesFrom {
		if !strings.HasPrefix(from, types.ContainerPrefix) {
			service, _, _ := strings.Cut(from, ":")
			imply(service, false)
		}
	}
}

// lookup is a variable as it is where a value is written.
func (b *builder) lookup(at tree.Place, name string) (string, bool) {
	if at.File != nil {
		if value, ok := at.File.Env[name]; ok {
			return value, true
		}
	}
	value, ok := b.Env[name]
	return value, ok
}

// fill gives the names without a value that of the variable, if it is set.
func (b *builder) fill(m types.MappingWithEquals, v *tree.Value) {
	if v == nil {
		return
	}
	for i := range v.Entries {
		if e := &v.Entries[i]; e.Value.Kind == tree.Null {
			b.fillOne(m, e.Key, e.At)
		}
	}
	for _, item := range v.Items {
		if strings.IndexByte(item.Text, '=') < 0 {
			b.fillOne(m, item.Text, item.Place)
		}
	}
}

func (b *builder) fillOne(m types.MappingWithEquals, name string, at tree.Place) {
	if old, ok := m[name]; ok && old == nil {
		if value, ok := b.lookup(at, name); ok {
			m[name] = &value
		}
	}
}
