package embedded

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/events"
	dockerimage "github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
)

// ImageList implements engine.Images.
func (e *Engine) ImageList(ctx context.Context, opts dockerimage.ListOptions) ([]dockerimage.Summary, error) {
	list, err := e.images.List(ctx, opts)
	if err != nil || !opts.ContainerCount {
		return list, err
	}
	counts := map[string]int64{}
	for _, r := range e.allRecords() {
		counts[r.Image]++
	}
	for i := range list {
		list[i].Containers = counts[list[i].ID]
	}
	return list, nil
}

// ImageInspect implements engine.Images.
func (e *Engine) ImageInspect(ctx context.Context, ref string) (dockerimage.InspectResponse, error) {
	return e.images.Inspect(ctx, ref)
}

// ImageHistory implements engine.Images.
func (e *Engine) ImageHistory(ctx context.Context, ref string) ([]dockerimage.HistoryResponseItem, error) {
	return e.images.History(ctx, ref)
}

// ImagePull implements engine.Images.
func (e *Engine) ImagePull(ctx context.Context, ref string, opts dockerimage.PullOptions, progress engine.Progress) error {
	if err := e.images.Pull(ctx, ref, opts, progress); err != nil {
		return fullDisk(err)
	}
	e.imageEvent(ref, ref, events.ActionPull)
	return nil
}

// ImagePush implements engine.Images.
func (e *Engine) ImagePush(ctx context.Context, ref string, opts dockerimage.PushOptions, progress engine.Progress) error {
	if err := e.images.Push(ctx, ref, opts, progress); err != nil {
		return err
	}
	e.imageEvent(ref, ref, events.ActionPush)
	return nil
}

// DistributionInspect implements engine.Registries.
func (e *Engine) DistributionInspect(ctx context.Context, ref, encodedAuth string) (registry.DistributionInspect, error) {
	return image.LookUp(ctx, ref, encodedAuth)
}

// ImageLoad implements engine.Images.
func (e *Engine) ImageLoad(ctx context.Context, archive io.Reader, progress engine.Progress) ([]string, error) {
	names, err := e.images.Load(ctx, archive, progress)
	for _, name := range names {
		e.imageEvent(e.imageID(ctx, name), name, events.ActionLoad)
	}
	return names, fullDisk(err)
}

// imageID is the ID of the image with that name, or the name if it has gone.
func (e *Engine) imageID(ctx context.Context, name string) string {
	if img, err := e.images.Resolve(ctx, name); err == nil {
		return img.ID
	}
	return name
}

// ImageSave implements engine.Images.
func (e *Engine) ImageSave(ctx context.Context, refs []string) (io.ReadCloser, error) {
	archive, err := e.images.Save(ctx, refs)
	if err != nil {
		return nil, err
	}
	for _, ref := range refs {
		e.imageEvent(e.imageID(ctx, ref), ref, events.ActionSave)
	}
	return archive, nil
}

// ImageImport implements engine.Images.
func (e *Engine) ImageImport(ctx context.Context, rootfs io.Reader, ref string, opts dockerimage.ImportOptions) (string, error) {
	id, err := e.images.Import(ctx, rootfs, ref, opts)
	if err != nil {
		return "", fullDisk(err)
	}
	e.imageEvent(id, ref, events.ActionImport)
	return id, nil
}

// ImageTag implements engine.Images.
func (e *Engine) ImageTag(ctx context.Context, source, target string) error {
	if err := e.images.Tag(ctx, source, target); err != nil {
		return err
	}
	e.imageEvent(e.imageID(ctx, target), target, events.ActionTag)
	return nil
}

// ImageRemove implements engine.Images.
func (e *Engine) ImageRemove(ctx context.Context, ref string, opts dockerimage.RemoveOptions) ([]dockerimage.DeleteResponse, error) {
	if err := e.pinAll(ctx); err != nil {
		return nil, err
	}
	removed, err := e.images.Remove(ctx, ref, opts, e.imageUses)
	for _, r := range removed {
		if r.Untagged != "" {
			e.imageEvent(r.Untagged, r.Untagged, events.ActionUnTag)
		}
		if r.Deleted != "" {
			e.imageEvent(r.Deleted, r.Deleted, events.ActionDelete)
		}
	}
	return removed, err
}

// pinAll makes sure that the layers of every container are held before something is removed: those of containers that
// an earlier engine made are not, until then.
func (e *Engine) pinAll(ctx context.Context) error {
	for _, r := range e.allRecords() {
		if _, err := e.layers(ctx, &r); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// imageUses lists the containers that were made from the image.
func (e *Engine) imageUses(id string) []image.Use {
	var uses []image.Use
	for _, r := range e.allRecords() {
		if r.Image == id {
			uses = append(uses, image.Use{Container: r.ShortID(), Running: r.State.Active()})
		}
	}
	return uses
}

// ImageBuild implements engine.Images.
func (e *Engine) ImageBuild(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error) {
	id, err := e.builder.Build(ctx, buildContext, opts, progress)
	if err != nil {
		return "", fullDisk(err)
	}
	for _, tag := range opts.Tags {
		e.imageEvent(id, tag, events.ActionTag)
	}
	return id, nil
}
