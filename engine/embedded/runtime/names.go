package runtime

import (
	"context"
	"errors"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// SetNames replaces the tables of the networks in names, and leaves those of others alone. An empty table forgets the
// network. The shims that have containers on these networks, and those that will, get to know them; they keep the last
// table while no engine is there.
func (r *Runtime) SetNames(ctx context.Context, names Names) error {
	r.mu.Lock()
	for id, table := range names {
		if len(table.Hosts) == 0 && len(table.Reverse) == 0 {
			delete(r.names, id)
		} else {
			r.names[id] = table
		}
	}
	groups := make([]*group, 0, len(r.groups))
	for _, g := range r.groups {
		groups = append(groups, g)
	}
	r.mu.Unlock()
	var errs []error
	for _, g := range groups {
		errs = append(errs, g.update(names))
	}
	return errors.Join(errs...)
}

// update sends the tables to the group's shim, if it has one and it has containers that want them.
func (g *group) update(names Names) error {
	g.mu.Lock()
	c := g.client
	wanted := protocol.Names{}
	for id, table := range names {
		if g.pushed[id] {
			wanted[id] = table
		}
	}
	g.mu.Unlock()
	if c == nil || len(wanted) == 0 {
		return nil
	}
	_, err := c.call(protocol.MethodSetNames, wanted, nil)
	if isLost(err) && len(g.runtime.alive(g)) == 0 {
		return nil // nobody is left to ask
	}
	return err
}

// SetNetworks changes on which networks a container looks names up.
func (r *Runtime) SetNetworks(ctx context.Context, id string, networks []string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	err = c.group.with(func(client *client) error {
		if err := c.group.push(client, networks); err != nil {
			return err
		}
		_, err := client.call(protocol.MethodSetNetworks, protocol.NetworksRequest{ID: id, Networks: networks}, nil)
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Networks = networks
	return nil
}
