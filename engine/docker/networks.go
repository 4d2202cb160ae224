package docker

import (
	"context"

	"github.com/docker/docker/api/types/network"
)

// NetworkCreate implements engine.Networks.
func (e *Engine) NetworkCreate(ctx context.Context, name string, opts network.CreateOptions) (string, error) {
	if opts.EnableIPv4 != nil && !*opts.EnableIPv4 {
		if err := e.requires(ctx, withoutIPv4, "enable_ipv4: false of network "+name); err != nil {
			return "", err
		}
	}
	made, err := e.api.NetworkCreate(ctx, name, opts)
	return made.ID, e.failed(err)
}

// NetworkList implements engine.Networks.
func (e *Engine) NetworkList(ctx context.Context, opts network.ListOptions) ([]network.Summary, error) {
	list, err := e.api.NetworkList(ctx, opts)
	return sorted(list, func(n network.Summary) string { return n.Name }), e.failed(err)
}

// NetworkInspect implements engine.Networks.
func (e *Engine) NetworkInspect(ctx context.Context, ref string, opts network.InspectOptions) (network.Inspect, error) {
	n, err := e.api.NetworkInspect(ctx, ref, opts)
	return n, e.failed(err)
}

// NetworkRemove implements engine.Networks.
func (e *Engine) NetworkRemove(ctx context.Context, ref string) error {
	return e.failed(e.api.NetworkRemove(ctx, ref))
}

// NetworkConnect implements engine.Networks.
func (e *Engine) NetworkConnect(ctx context.Context, ref, container string, settings *network.EndpointSettings) error {
	if settings != nil && settings.MacAddress != "" {
		if err := e.requires(ctx, severalEndpoints, "the MAC address on network "+ref); err != nil {
			return err
		}
	}
	return e.failed(e.api.NetworkConnect(ctx, ref, container, settings))
}

// NetworkDisconnect implements engine.Networks.
func (e *Engine) NetworkDisconnect(ctx context.Context, ref, container string, force bool) error {
	return e.failed(e.api.NetworkDisconnect(ctx, ref, container, force))
}
