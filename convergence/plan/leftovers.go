package plan

import (
	"maps"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
)

// leftovers are networks and volumes that the file no longer has. Networks go with --remove-orphans once nobody is on them,
// volumes never.
func (u *up) leftovers() {
	u.renames()
	wanted := make(map[string]bool)
	for _, n := range u.desired.Networks {
		wanted[n.Name] = true
	}
	for _, v := range u.desired.Volumes {
		wanted["volume "+v.Name] = true
	}
	var networks, volumes []string
	for _, name := range slices.Sorted(maps.Keys(u.state.Networks)) {
		n := u.state.Networks[name]
		if n.Project != u.plan.Project || wanted[name] {
			continue
		}
		if left, ok := u.takenOff(name); ok && u.options.RemoveOrphans {
			op := &RemoveNetwork{Ref: n.ID}
			u.add("remove", op, Subject{Network, name}, "the project has no such network", left...)
			continue
		}
		networks = append(networks, name)
	}
	for _, name := range slices.Sorted(maps.Keys(u.state.Volumes)) {
		if u.state.Volumes[name].Project == u.plan.Project && !wanted["volume "+name] {
			volumes = append(volumes, name)
		}
	}
	if len(networks) > 0 {
		u.note("networks that the project no longer has: %s; --remove-orphans removes those that nobody is on", strings.Join(networks, ", "))
	}
	if len(volumes) > 0 {
		u.note("volumes that the project no longer has: %s; they are kept, with what is in them", strings.Join(volumes, ", "))
	}
}

// takenOff are the operations that take everybody off the network. ok is false if somebody stays on it.
func (u *up) takenOff(network string) (operations []string, ok bool) {
	for _, c := range u.index.on(u.state, network) {
		id := ""
		for _, candidate := range []string{operationID("disconnect", Network, network+" from "+c.Name), operationID("remove", Container, c.Name)} {
			if u.ops[candidate] != nil {
				id = candidate
			}
		}
		if id == "" {
			return nil, false
		}
		operations = append(operations, id)
	}
	return operations, true
}

// renames tells of orphans that are just like the containers of a service that was not there before.
func (u *up) renames() {
	orphans := u.builder.orphans()
	if len(orphans) == 0 || u.options.RemoveOrphans {
		return
	}
	fresh := make(map[string]string) // name by what its containers are like
	for _, name := range slices.Sorted(maps.Keys(u.services)) {
		if s := u.services[name]; len(s.members) > 0 && len(u.state.Of(name)) == 0 {
			fresh[likeness(s.Image, s.members[0].Settings)] = name
		}
	}
	told := make(map[string]bool)
	for _, c := range orphans {
		made, ok := desired.Unpack(c.Config)
		if name := fresh[likeness(c.Image, made)]; ok && name != "" && !told[c.Service] && !c.OneOff {
			told[c.Service] = true
			u.note("service %s seems to be renamed to %s", c.Service, name)
		}
	}
}

// likeness stands for everything that does not depend on a service's name.
func likeness(image string, s desired.Settings) string {
	own := slices.DeleteFunc(slices.Clone(s), func(line desired.Setting) bool { return desired.Mutable(line.Name) || line.Name == "NetworkMode" })
	return image + " " + own.Hash()
}
