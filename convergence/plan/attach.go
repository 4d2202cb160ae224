package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
)

// attachment is what has to be done about a container and one network: off and on is to put it there anew, and neither is to
// say that others have put it there.
type attachment struct {
	network string
	off, on bool
	cause   string
}

// attachments compares the networks that a container is on with those that it is to be on. recreate are the causes for which
// the container has to be made anew.
func (u *up) attachments(m *member, made desired.Settings) (out []attachment, recreate []string) {
	if m.Config.Networking == nil || len(m.Config.Networking.EndpointsConfig) == 0 {
		return nil, nil // what it has is another's
	}
	wanted := m.Config.Networking.EndpointsConfig
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if !m.now.On(name) {
			out = append(out, attachment{network: name, on: true, cause: u.missingNetwork(name, made)})
			continue
		}
		again, anew := u.compareEndpoint(m, name, made)
		recreate = append(recreate, anew...)
		if len(again) > 0 {
			out = append(out, attachment{network: name, off: true, on: true, cause: u.ofNetwork(name, again)})
		}
	}
	for _, name := range m.now.Networks {
		if _, ok := wanted[name]; ok || name == network.NetworkNone {
			continue
		}
		out = append(out, attachment{network: name, off: u.putThere(m, name, made), cause: u.networkWord(name) + " removed"})
	}
	return out, recreate
}

// missingNetwork says why the container is not on a network that it is to be on.
func (u *up) missingNetwork(name string, made desired.Settings) string {
	if _, stated := made.Endpoint(name); !stated {
		return u.networkWord(name) + " added"
	}
	return disconnected
}

const disconnected = "it was disconnected"

// putThere says that the project has put the container on the network: when it was made, or since then. Then its own name is
// among its aliases there, or the network is the project's own.
func (u *up) putThere(m *member, name string, made desired.Settings) bool {
	if _, stated := made.Endpoint(name); stated || u.state.Networks[name].Project == u.plan.Project {
		return true
	}
	now, _ := m.now.Mutable.Endpoint(name)
	aliases, _ := now.Get("Aliases")
	return slices.Contains(strings.Fields(aliases), m.Name)
}

// ofNetwork names what differs about a network in the words of the file.
func (u *up) ofNetwork(name string, what []string) string {
	return u.networkWord(name) + ": " + strings.Join(what, ", ")
}

func (u *up) networkWord(name string) string {
	return "network " + u.index.networkKey(u.plan.Project, name)
}

// attach carries the attachments out, as far as they matter now: those of a container that neither runs nor is started are made
// up for when it is. It is put on networks before it is taken off others, so that it is never without one for nothing; only an
// address of its own it gives back at once, since another may be to have it.
func (u *up) attach(m *member, attachments []attachment) {
	if !m.now.Status.Alive() && !m.begin {
		return
	}
	c, renamed := called(m)
	on := nonEmpty(renamed)
	for _, a := range attachments {
		if a.on && !a.off {
			on = append(on, u.putOn(m, c, a, renamed))
		}
	}
	for _, a := range attachments {
		own := ownAddresses(m.now, a.network)
		switch {
		case a.on && a.off:
			off := u.disconnect(c, a.network, a.cause, renamed)
			u.frees(a.network, own, off)
			u.putOn(m, c, a, off)
		case a.off && len(own) > 0:
			u.frees(a.network, own, u.disconnect(c, a.network, a.cause, renamed))
		case a.off:
			u.disconnect(c, a.network, a.cause, on...)
		case !a.on:
			u.note("container %s is also on the network %s, on which nothing in this project puts it; it is left there", c.Name, a.network)
		}
	}
}

// called is the container that stays under the name that it is to have, and the operation that gives it the name, if it has
// another one.
func called(m *member) (c state.Container, renamed string) {
	c = *m.now
	if c.Name != m.Name {
		c.Name, renamed = m.Name, operationID("rename", Container, m.Name)
	}
	return c, renamed
}

// ownAddresses are those that the container was given by name on the network.
func ownAddresses(c *state.Container, network string) []string {
	var out []string
	e, _ := c.Mutable.Endpoint(network)
	for _, line := range e {
		if strings.HasPrefix(line.Name, addresses) {
			out = append(out, line.Value)
		}
	}
	return out
}

func (u *up) frees(network string, own []string, operation string) {
	for _, address := range own {
		if u.freed == nil {
			u.freed = make(map[string]string)
		}
		u.freed[network+" "+address] = operation
	}
}

// awaitAddresses makes those who are put on a network with an address of their own wait until who has it has given it back.
func (u *up) awaitAddresses() {
	if len(u.freed) == 0 {
		return
	}
	for _, op := range u.plan.Operations {
		connect, ok := op.(*ConnectNetwork)
		if !ok || connect.Settings == nil || connect.Settings.IPAMConfig == nil {
			continue
		}
		for _, address := range []string{connect.Settings.IPAMConfig.IPv4Address, connect.Settings.IPAMConfig.IPv6Address} {
			if id := u.freed[connect.Network+" "+address]; id != "" {
				connect.Needs = append(connect.Needs, id)
			}
		}
	}
}

func (u *up) putOn(m *member, c state.Container, a attachment, needs ...string) string {
	created := ""
	if n := u.networks[u.index.networkKey(u.plan.Project, a.network)]; n != nil {
		created = n.op
	}
	cause := a.cause
	if cause == disconnected && !c.Status.Alive() {
		cause = "it was never connected, or disconnected"
	}
	return u.connect(c, a.network, created, m.Config.Networking.EndpointsConfig[a.network], cause, needs...)
}

// endpoint is a container on a network that it is and is to be on: by its labels, by the engine, and by the file.
type endpoint struct {
	made, now, want desired.Settings
	stated          bool // it was put there when it was made, so that made counts
}

// compareEndpoint says why the container has to be put on the network again, or made anew.
func (u *up) compareEndpoint(m *member, name string, made desired.Settings) (again, anew []string) {
	if m.now.Hash == m.Hash && m.now.Mutable.SameEndpoint(m.Settings, name, shortID(m.now.ID)) {
		return nil, nil // most are, and there may be thousands
	}
	var e endpoint
	e.made, e.stated = made.Endpoint(name)
	e.now, _ = m.now.Mutable.Endpoint(name)
	e.want, _ = m.Settings.Endpoint(name)
	again = e.aliases(m)
	for _, setting := range e.names() {
		var c desired.Change
		c.Name = setting
		c.Was, c.Had = e.before(setting)
		c.Is, c.Has = e.want.Get(setting)
		switch {
		case c.Had == c.Has && c.Was == c.Is:
		case setting == gatewayPriority, strings.HasPrefix(setting, addresses):
			again = append(again, describe(c))
		default:
			anew = append(anew, u.ofNetwork(name, []string{describe(c)}))
		}
	}
	return again, anew
}

const (
	addresses       = "IPAMConfig."
	gatewayPriority = "GwPriority"
	macAddress      = "MacAddress"
)

// names are those of all settings but the aliases, sorted.
func (e *endpoint) names() []string {
	var out []string
	for _, line := range slices.Concat(e.made, e.now, e.want) {
		if line.Name != "Aliases" {
			out = append(out, line.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// before is the value that the wish is compared with. Addresses are as the engine has them. What engines report otherwise than
// they were told, or not at all, is as it was stated when the container was made; of a network that came later, only what the
// engine reports can tell.
func (e *endpoint) before(setting string) (value string, ok bool) {
	if setting == macAddress {
		return e.address()
	}
	reported, has := e.now.Get(setting)
	if strings.HasPrefix(setting, addresses) || setting == gatewayPriority && (has || !e.stated) {
		return reported, has
	}
	if e.stated {
		return e.made.Get(setting)
	}
	is, wanted := e.want.Get(setting)
	if has && wanted {
		return reported, true
	}
	return is, wanted
}

// address is what the wish for a MAC address is compared with. Engines choose one if none is wanted, write one in their own way,
// and report none of a container that does not run. Who was put on the network again since it was made has another one.
func (e *endpoint) address() (value string, ok bool) {
	made, stated := e.made.Get(macAddress)
	reported, has := e.now.Get(macAddress)
	is, wanted := e.want.Get(macAddress)
	switch {
	case wanted && (has && sameMAC(reported, is) || stated && sameMAC(made, is)):
		return is, true
	case stated && has && !sameMAC(reported, made):
		return "", false
	case e.stated:
		return made, stated
	case has && wanted:
		return reported, true
	}
	return is, wanted
}

// sameMAC compares the digits: colons, hyphens or dots may stand between them.
func sameMAC(a, b string) bool {
	digits := strings.NewReplacer(":", "", "-", "", ".", "")
	return strings.EqualFold(digits.Replace(a), digits.Replace(b))
}

// aliases compares the names, of which the container's short ID is the engine's own. A container that Docker Compose made may
// have others. One that others have put there has not even its own name.
func (e *endpoint) aliases(m *member) []string {
	was, now, want := aliasesOf(e.made), aliasesOf(e.now), aliasesOf(e.want)
	byOthers := !slices.Contains(now, m.now.Name) && !slices.Contains(now, m.Name)
	var out []string
	for _, name := range want {
		switch {
		case slices.Contains(now, name):
		case byOthers || slices.Contains(was, name):
			out = append(out, "alias "+name+" is missing")
		default:
			out = append(out, "alias "+name+" added")
		}
	}
	for _, name := range now {
		if !slices.Contains(want, name) && name != shortID(m.now.ID) && m.now.Hash != "" {
			out = append(out, "alias "+name+" removed")
		}
	}
	return out
}

func aliasesOf(endpoint desired.Settings) []string {
	text, _ := endpoint.Get("Aliases")
	names := strings.Fields(text)
	slices.Sort(names)
	return slices.Compact(names)
}
