package network

import (
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

// Attach connects a running container to one more network. netns is the path of its network namespace, for example
// "/proc/123/ns/net". ErrConflict: it is connected already.
func (m *Manager) Attach(containerID, netns string, a Attachment) (*network.EndpointSettings, error) {
	return nil, unfinished("connecting a running container")
}

// Detach disconnects a running container from a network. ErrNotFound: it is not connected.
func (m *Manager) Detach(containerID, netns, ref string) error {
	return unfinished("disconnecting a running container")
}

// Release gives back the addresses, ports, rules and links of a container that has exited. Releasing what has nothing
// is not an error.
func (m *Manager) Release(containerID string) error { return unfinished("releasing") }

// Endpoints returns the settings of a running container's endpoints by network ID and its published ports, nil if it
// has none.
func (m *Manager) Endpoints(containerID string) (map[string]*network.EndpointSettings, nat.PortMap) {
	return nil, nil
}

// Rename gives a container another name, for messages and for the name table.
func (m *Manager) Rename(containerID, name string) error { return unfinished("renaming") }
