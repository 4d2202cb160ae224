package embedded

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	dockercontainer "github.com/docker/docker/api/types/container"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
)

// handovers brings shims and records up to date with who has which host ports, one container at a time.
type handovers struct{ mu sync.Mutex }

// predecessor returns the ID of the container whose place the record's takes, "" if it takes none or none that it could
// get ports from: the sockets that hold them pass within one shim only.
func (e *Engine) predecessor(r *container.Record) string {
	id := r.Config.Labels[engine.LabelTakesOver]
	if id == "" || id == r.ID {
		return ""
	}
	if c := e.containers.Get(id); c != nil {
		if other := c.Record(); other.Group() != r.Group() {
			return ""
		}
	}
	return id
}

// handOver makes way for others before a container ends: the host ports that others wait for become theirs, and name
// servers name it no longer where others have the name. It is no reason not to end a container that this failed; the
// ports that did not move then do so with its end.
func (e *Engine) handOver(ctx context.Context, c *container.Container) network.Handover {
	h := e.passPorts(ctx, c)
	if h.Names {
		e.pushNames(ctx)
	}
	return h
}

// passPorts is handOver without the names.
func (e *Engine) passPorts(ctx context.Context, c *container.Container) network.Handover {
	h, err := e.networks.HandOver(c.ID)
	if err != nil {
		slog.Error("cannot hand over a container's ports", "container", c.Record().Name, "error", err)
	}
	e.settlePorts(ctx, h.Ports)
	return h
}

// claim gives a container that has just been made what was promised to it, if the holders have begun to end meanwhile.
func (e *Engine) claim(ctx context.Context, id string, holders []string) {
	moved, err := e.networks.Claim(id)
	if err != nil {
		slog.Error("cannot take over ports", "container", id, "error", err)
	}
	e.settlePorts(ctx, slices.Concat(moved, holders, []string{id}))
}

// settlePorts brings what holds the containers' ports, and what their records say, up to date with the networks.
func (e *Engine) settlePorts(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	e.handovers.mu.Lock()
	defer e.handovers.mu.Unlock()
	reserved := map[string][]runtime.PortReservation{}
	for _, id := range ids {
		if ports, there := e.networks.Reserved(id); there {
			reserved[id] = portReservations(ports)
			e.recordPorts(id)
		}
	}
	if err := e.runtime.SetPorts(ctx, reserved); err != nil {
		slog.Error("cannot reserve the ports that a container took over", "containers", ids, "error", err)
	}
}

// recordPorts puts the container's present ports into its record. If that cannot be stored, the next engine does it.
func (e *Engine) recordPorts(id string) {
	c := e.containers.Get(id)
	if c == nil {
		return
	}
	_, ports := e.networks.Endpoints(id)
	if maps.EqualFunc(c.Record().Ports, ports, slices.Equal) {
		return
	}
	c.Change(func(r *container.Record) { r.Ports = ports })
	if err := c.Save(); err != nil {
		slog.Error("cannot store who has a port", "container", c.Record().Name, "error", err)
	}
}

func portReservations(ports []network.Reservation) []runtime.PortReservation {
	var list []runtime.PortReservation
	for _, p := range ports {
		list = append(list, runtime.PortReservation{HostIP: p.HostIP, Port: p.Port, Proto: p.Proto})
	}
	return list
}

// adoptPorts makes shims and records agree with the networks' records, after an engine that may have died while ports
// passed from one container to another.
func (e *Engine) adoptPorts(ctx context.Context, active []string) {
	var ids []string
	for _, id := range active {
		record := e.containers.Get(id).Record()
		if record.HealthStatus() == dockercontainer.Healthy {
			e.networks.Ready(id)
		}
		if predecessor := e.predecessor(&record); e.containers.Get(predecessor) != nil {
			ids = append(ids, id, predecessor)
		}
	}
	e.settlePorts(ctx, ids)
}
