package shim

import (
	"os"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/resolver"
)

// startResolver answers the container's questions in the network namespace that it is going to have.
func (c *container) startResolver(r *protocol.Resolver, netns *os.File) (err error) {
	if netns == nil {
		return protocol.Errorf(protocol.Invalid, "a name server needs a network namespace of the container's own")
	}
	c.resolver, err = resolver.Start(netns, c.shim.names, r)
	return err
}

// restartResolver does so for a container that runs.
func (c *container) restartResolver(r *protocol.Resolver) error {
	netns, err := c.process.OpenProc("ns/net", os.O_RDONLY)
	if err != nil {
		return err
	}
	defer netns.Close()
	return c.startResolver(r, netns)
}
