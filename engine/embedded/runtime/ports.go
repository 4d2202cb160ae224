package runtime

import (
	"context"
	"errors"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// SetPorts gives containers of one group these ports of the host and no others, by ID. A port that passes from one of them
// to another is free at no time. IDs of containers that there are not are passed over. Doing it twice does no harm, and
// that is what is done if the shim dies meanwhile. ErrConflict: another program has a port; the others are set.
func (r *Runtime) SetPorts(ctx context.Context, ports map[string][]PortReservation) error {
	groups := map[*group]map[string][]PortReservation{}
	for id, list := range ports {
		c, err := r.container(id)
		if err != nil {
			continue
		}
		if groups[c.group] == nil {
			groups[c.group] = map[string][]PortReservation{}
		}
		groups[c.group][id] = list
	}
	var errs []error
	for g, list := range groups {
		errs = append(errs, g.setPorts(ctx, list))
	}
	return errors.Join(errs...)
}

// setPortsTries is how many shims in turn may die of a request before that is reported.
const setPortsTries = 3

func (g *group) setPorts(ctx context.Context, ports map[string][]PortReservation) (err error) {
	for range setPortsTries {
		_, err = g.call(protocol.MethodSetPorts, protocol.PortsRequest{Ports: ports}, nil)
		if !isLost(err) || g.runtime.isClosed() || ctx.Err() != nil {
			break
		}
	}
	return err
}
