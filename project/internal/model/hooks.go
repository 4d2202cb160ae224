package model

import (
	"slices"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// inherit completes pre_start hooks with what the service says about its container. Mounts are not inherited so: a hook has
// those of its service anyway, also the ones that have no name.
func (b *builder) inherit(s *types.ServiceConfig, v *tree.Value) {
	if len(s.PreStart) == 0 {
		return
	}
	for i, hook := range hooks(v) {
		s.PreStart[i] = types.PreStartHook{}
		new(decoder).decode(hook, &s.PreStart[i]) // its mistakes are those of the service and the hook, which are known
		c := &s.PreStart[i].ContainerSpec
		b.container(c, hook)
		if _, ok := s.Networks["default"]; ok {
			addDefaultNetwork(c)
		}
	}
}

// hooks are a service's pre_start hooks with what they inherit.
func hooks(v *tree.Value) []*tree.Value {
	hooks := itemsOf(v.Get("pre_start"))
	out := make([]*tree.Value, len(hooks))
	base := containerPart(v)
	for i, hook := range hooks {
		if out[i] = hook; hook.Kind == tree.Map {
			out[i], _ = merge.Service(base, hook)
		}
	}
	return out
}

func addDefaultNetwork(c *types.ContainerSpec) {
	if _, ok := c.Networks["default"]; ok {
		return
	}
	if c.Networks == nil {
		c.Networks = make(map[string]*types.ServiceNetworkConfig)
	}
	c.Networks["default"] = nil
}

// containerPart is a service without what is not about its container, and without mounts.
func containerPart(v *tree.Value) *tree.Value {
	out := tree.NewMap(v.Place)
	for _, e := range v.Entries {
		if e.Key != "volumes" && slices.Contains(types.ContainerSpecAttributes, e.Key) {
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}
