package memory

import (
	"context"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"
	godigest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// domain is the registry of a normalised name.
func domain(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// ImagePull implements engine.Images: from what AddRemoteImage and ImagePush put into the registries.
func (e *Engine) ImagePull(ctx context.Context, ref string, _ image.PullOptions, progress engine.Progress) error {
	if err := e.enter(ctx, "ImagePull", ref); err != nil {
		return err
	}
	name, err := normalised(ref)
	if err != nil {
		return err
	}
	if err := e.pull(name); err != nil {
		return err
	}
	progress.Report(jsonmessage.JSONMessage{Status: "Status: Downloaded newer image for " + familiar(name)})
	return nil
}

func (e *Engine) pull(name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.remote[name]
	switch {
	case !e.registries[domain(name)]:
		return engine.Errorf(engine.ErrUnavailable, "cannot pull %s: the registry does not answer", familiar(name))
	case i == nil:
		return engine.Errorf(engine.ErrNotFound, "cannot pull %s: the registry has no such image", familiar(name))
	}
	e.keep(i, name)
	e.imageEvent(events.ActionPull, familiar(name), familiar(name))
	return nil
}

// ImagePush implements engine.Images.
func (e *Engine) ImagePush(ctx context.Context, ref string, _ image.PushOptions, progress engine.Progress) error {
	var id string
	err := e.lockedImage(ctx, "ImagePush", ref, func(i *img) error {
		id = i.id
		name, err := normalised(ref)
		if err != nil {
			return err
		}
		if !e.registries[domain(name)] {
			return engine.Errorf(engine.ErrUnavailable, "cannot push %s: the registry does not answer", ref)
		}
		e.remote[name] = i
		e.imageEvent(events.ActionPush, familiar(name), familiar(name))
		return nil
	})
	if err == nil {
		progress.Report(jsonmessage.JSONMessage{Status: id + ": Pushed"})
	}
	return err
}

// DistributionInspect implements engine.Registries. An image's digest is its ID.
func (e *Engine) DistributionInspect(ctx context.Context, ref, _ string) (registry.DistributionInspect, error) {
	var d registry.DistributionInspect
	if err := e.enter(ctx, "DistributionInspect", ref); err != nil {
		return d, err
	}
	name, err := normalised(ref)
	if err != nil {
		return d, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.remote[name]
	switch {
	case !e.registries[domain(name)]:
		return d, engine.Errorf(engine.ErrUnavailable, "cannot look up %s: the registry does not answer", familiar(name))
	case i == nil:
		return d, engine.Errorf(engine.ErrNotFound, "cannot look up %s: the registry has no such image", familiar(name))
	}
	d.Descriptor = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: godigest.Digest(i.id), Size: i.size}
	d.Platforms = []ocispec.Platform{{OS: i.config.OS, Architecture: i.config.Architecture}}
	return d, nil
}
