package embedded

import (
	"errors"
	"maps"
	"slices"

	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
)

// containerEvent tells what happened to a container. more are further attributes, names and values in turn.
func (e *Engine) containerEvent(r *container.Record, action events.Action, more ...string) {
	e.bus.Publish(events.Message{Type: events.ContainerEventType, Action: action, Actor: events.Actor{ID: r.ID, Attributes: r.Attributes(more...)}})
}

func (e *Engine) networkEvent(id, name string, action events.Action, more map[string]string) {
	attributes := map[string]string{"name": name, "type": "bridge"}
	switch name {
	case "host":
		attributes["type"] = "host"
	case "none":
		attributes["type"] = "null"
	}
	maps.Copy(attributes, more)
	e.bus.Publish(events.Message{Type: events.NetworkEventType, Action: action, Actor: events.Actor{ID: id, Attributes: attributes}})
}

// endpointEvents tells that a container came to, or left, its networks.
func (e *Engine) endpointEvents(r *container.Record, action events.Action) {
	for _, name := range slices.Sorted(maps.Keys(r.Endpoints)) {
		e.networkEvent(r.Endpoints[name].NetworkID, name, action, map[string]string{"container": r.ID})
	}
}

func (e *Engine) volumeEvent(name string, action events.Action) {
	e.bus.Publish(events.Message{Type: events.VolumeEventType, Action: action,
		Actor: events.Actor{ID: name, Attributes: map[string]string{"driver": "local"}}})
}

func (e *Engine) imageEvent(id, name string, action events.Action) {
	e.bus.Publish(events.Message{Type: events.ImageEventType, Action: action,
		Actor: events.Actor{ID: id, Attributes: map[string]string{"name": name}}})
}

// fullDisk makes an error that comes from a full disk say so first, in words.
func fullDisk(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return engine.Errorf(engine.ErrUnavailable, "the disk is full: %w", err)
	}
	return err
}
