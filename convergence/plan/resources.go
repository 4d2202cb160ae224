package plan

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// resource is a network as far as the plan has come.
type resource struct {
	desired.Network
	op        string // the operation after which it is there as wanted, or ""
	recreated bool   // so that those who were on it have to be put on it again
}

// resources makes sure that the networks and volumes of the service and its hooks are there, and returns the operations that do so.
func (u *up) resources(s *service) []string {
	var out []string
	networks, volumes := s.Networks, s.Volumes
	for _, hook := range s.PreStart {
		networks, volumes = slices.Concat(networks, hook.Networks), slices.Concat(volumes, hook.Volumes)
	}
	for _, key := range networks {
		if n := u.desired.Network(key); n != nil {
			out = append(out, u.network(*n).op)
		}
	}
	for _, key := range volumes {
		out = append(out, u.volume(key))
	}
	return slices.DeleteFunc(out, func(id string) bool { return id == "" })
}

// spares makes sure that what no service uses is there too, if that was asked for, and tells of what nobody wants any more.
func (u *up) spares() {
	u.leftovers()
	if !u.options.AllResources {
		return
	}
	for _, n := range u.desired.Networks {
		u.network(n)
	}
	for _, v := range u.desired.Volumes {
		u.volume(v.Key)
	}
}

func (u *up) network(n desired.Network) *resource {
	if r, seen := u.networks[n.Key]; seen {
		return r
	}
	r := &resource{Network: n}
	u.networks[n.Key] = r
	now, there := u.state.Networks[n.Name]
	switch {
	case n.External && !there:
		u.fail(engine.ErrNotFound, "network %s is external and is not there; create it, or remove external: true", n.Name)
	case n.External || builtIn(n.Name):
	case !there:
		r.op = u.createNetwork(n, "it is not there")
	case now.Project != u.plan.Project:
		u.fail(engine.ErrConflict, "network %s is there and belongs to %s; write external: true to use it, or give this one another name", n.Name, owner(now.Project))
	default:
		u.compareNetwork(r, now)
	}
	return r
}

// builtIn says whether every engine has the network.
func builtIn(name string) bool { return name == "bridge" || name == "host" || name == "none" }

func owner(project string) string {
	if project == "" {
		return "nobody's project"
	}
	return "project " + project
}

func (u *up) createNetwork(n desired.Network, cause string, needs ...string) string {
	op := &CreateNetwork{Name: n.Name, Options: n.Create}
	return u.add("create", op, Subject{Network, n.Name}, cause, needs...)
}

// compareNetwork recreates a network that differs: everybody off, remove, create; reconnect puts those back who stay.
func (u *up) compareNetwork(r *resource, now state.Network) {
	changes := changed(identity{now.Hash, now.ComposeHash, now.Config}, identity{hash: r.Hash, composeHash: r.ComposeHash}, r.Settings)
	if len(changes) == 0 || u.options.Recreate == RecreateNever {
		return
	}
	cause := joinCauses(changes)
	on := u.index.on(u.state, r.Name)
	ours := make(map[string]bool, len(on))
	for i := range on {
		ours[on[i].Name] = true
	}
	for _, name := range now.Users {
		if !ours[name] {
			u.fail(engine.ErrConflict, "network %s differs (%s) and has to be made anew, but container %s is on it, which is not of this project; take it off first", r.Name, cause, name)
			return
		}
	}
	var off []string
	for _, c := range on {
		op := &DisconnectNetwork{Header: header(c.Service), Network: r.Name, Container: c.ID, Settings: wasOn(c, r.Name)}
		off = append(off, u.add("disconnect", op, Subject{Network, r.Name + " from " + c.Name}, cause))
	}
	removed := u.add("remove", &RemoveNetwork{Ref: now.ID, Name: r.Name, Made: now.Made}, Subject{Network, r.Name}, cause, off...)
	r.op = u.createNetwork(r.Network, cause, removed)
	r.recreated = true
}

// identity is by what a network or a volume is compared: Docker Compose's hash where ours is not.
type identity struct{ hash, composeHash, config string }

// changed says what differs between what is there and what is wanted. What carries no hash at all is trusted, as Docker Compose
// does.
func changed(was, is identity, settings desired.Settings) []string {
	switch {
	case was.hash == "" && was.composeHash != "" && is.composeHash != "" && was.composeHash != is.composeHash:
		return []string{"it was made by Docker Compose, and its configuration has changed since"}
	case was.hash == "" || was.hash == is.hash:
		return nil
	}
	made, ok := desired.Unpack(was.config)
	if !ok {
		return []string{"configuration changed"}
	}
	return inWords(desired.Changes(made, settings))
}

// reconnect puts containers that stay on the networks that they should be on, and takes them off others.
func (u *up) reconnect() {
	for _, name := range slices.Sorted(maps.Keys(u.services)) {
		for _, m := range u.services[name].members {
			if m.now != nil && len(m.causes) == 0 && m.Config.Networking != nil {
				u.reconnectMember(u.services[name], m)
			}
		}
	}
	u.reconnectOthers()
	u.awaitAddresses()
}

func (u *up) reconnectMember(s *service, m *member) {
	attachments := m.attachments
	if !m.compared {
		attachments = u.missingAttachments(m)
	}
	for _, key := range s.Networks {
		if n := u.networks[key]; n != nil && n.recreated {
			c, renamed := called(m)
			u.connect(c, n.Name, n.op, m.Config.Networking.EndpointsConfig[n.Name], "the network is recreated", renamed)
		}
	}
	u.attach(m, slices.DeleteFunc(slices.Clone(attachments), func(a attachment) bool { return u.isRecreated(a.network) }))
}

// missingAttachments are all that can be told about a container that was not compared with the engine.
func (u *up) missingAttachments(m *member) []attachment {
	var out []attachment
	for _, name := range slices.Sorted(maps.Keys(m.Config.Networking.EndpointsConfig)) {
		if !m.now.On(name) {
			out = append(out, attachment{network: name, on: true, cause: disconnected})
		}
	}
	return out
}

// isRecreated says that everybody is taken off the network and put on it again.
func (u *up) isRecreated(network string) bool {
	n := u.networks[u.index.networkKey(u.plan.Project, network)]
	return n != nil && n.recreated
}

// reconnectOthers puts back whoever was on a recreated network and is not part of this plan otherwise.
func (u *up) reconnectOthers() {
	for _, key := range slices.Sorted(maps.Keys(u.networks)) {
		n := u.networks[key]
		if !n.recreated {
			continue
		}
		for _, c := range u.index.on(u.state, n.Name) {
			removed := u.ops[operationID("remove", Container, c.Name)] != nil || u.ops[operationID(clearAway, Container, c.Name)] != nil
			if (u.services[c.Service] == nil || c.OneOff) && !removed {
				u.connect(c, n.Name, n.op, u.endpointOf(c, n.Name), "the network is recreated")
			}
		}
	}
}

// endpointOf is how a container that is not part of this plan is put on a network again: as the file says, or by its names.
func (u *up) endpointOf(c state.Container, name string) *network.EndpointSettings {
	if s := u.index.services[c.Service]; s != nil && !c.OneOff {
		for _, replica := range s.Containers {
			if n := replica.Config.Networking; replica.Number == c.Number && n != nil && n.EndpointsConfig[name] != nil {
				return n.EndpointsConfig[name]
			}
		}
	}
	return &network.EndpointSettings{Aliases: []string{c.Name, c.Service}}
}

func (u *up) connect(c state.Container, name, after string, settings *network.EndpointSettings, cause string, needs ...string) string {
	op := &ConnectNetwork{Header: header(c.Service), Network: name, Container: c.ID, Settings: settings}
	id := u.add("connect", op, Subject{Network, name + " to " + c.Name}, cause, append(needs, after)...)
	u.beforeStart(c.Name, id)
	return id
}

func (u *up) disconnect(c state.Container, name, cause string, needs ...string) string {
	op := &DisconnectNetwork{Header: header(c.Service), Network: name, Container: c.ID}
	id := u.add("disconnect", op, Subject{Network, name + " from " + c.Name}, cause, needs...)
	u.beforeStart(c.Name, id)
	return id
}

// beforeStart makes the container's start, if there is one, wait for the operation.
func (u *up) beforeStart(name, id string) {
	if start := u.ops["start container "+name]; start != nil {
		start.Head().Needs = append(start.Head().Needs, id)
	}
}
