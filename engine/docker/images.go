package docker

import (
	"context"
	"encoding/json"
	"io"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// ImageList implements engine.Images.
func (e *Engine) ImageList(ctx context.Context, opts image.ListOptions) ([]image.Summary, error) {
	list, err := e.api.ImageList(ctx, opts)
	return sorted(list, firstTag), e.failed(err)
}

func firstTag(i image.Summary) string {
	if len(i.RepoTags) == 0 {
		return i.ID
	}
	return i.RepoTags[0]
}

// ImageInspect implements engine.Images.
func (e *Engine) ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error) {
	i, err := e.api.ImageInspect(ctx, ref)
	return i, e.failed(err)
}

// ImageHistory implements engine.Images.
func (e *Engine) ImageHistory(ctx context.Context, ref string) ([]image.HistoryResponseItem, error) {
	list, err := e.api.ImageHistory(ctx, ref)
	return list, e.failed(err)
}

// ImagePull implements engine.Images.
func (e *Engine) ImagePull(ctx context.Context, ref string, opts image.PullOptions, progress engine.Progress) error {
	stream, err := e.api.ImagePull(ctx, ref, opts)
	if err != nil {
		return e.failed(err)
	}
	defer drain(stream)
	return e.report(stream, engine.ErrInternal, progress)
}

// ImagePush implements engine.Images.
func (e *Engine) ImagePush(ctx context.Context, ref string, opts image.PushOptions, progress engine.Progress) error {
	if opts.RegistryAuth == "" {
		opts.RegistryAuth = "e30=" // {}: older engines refuse a push without the header
	}
	stream, err := e.api.ImagePush(ctx, ref, opts)
	if err != nil {
		return e.failed(err)
	}
	defer drain(stream)
	return e.report(stream, engine.ErrInternal, progress)
}

// ImageLoad implements engine.Images.
func (e *Engine) ImageLoad(ctx context.Context, archive io.Reader, progress engine.Progress) ([]string, error) {
	got, err := e.api.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(progress == nil))
	if err != nil {
		return nil, e.failed(err)
	}
	defer drain(got.Body)
	var refs []string
	collect := func(m jsonmessage.JSONMessage) {
		if ref, ok := loaded(m.Stream); ok {
			refs = append(refs, ref)
		}
	}
	err = e.report(got.Body, engine.ErrInvalid, collect, progress)
	return refs, err
}

// loaded reads the line that names a loaded image.
func loaded(line string) (string, bool) {
	line = strings.TrimSpace(line)
	for _, intro := range []string{"Loaded image ID: ", "Loaded image: "} {
		if ref, ok := strings.CutPrefix(line, intro); ok {
			return ref, true
		}
	}
	return "", false
}

// ImageSave implements engine.Images.
func (e *Engine) ImageSave(ctx context.Context, refs []string) (io.ReadCloser, error) {
	archive, err := e.api.ImageSave(ctx, refs)
	return archive, e.failed(err)
}

// ImageImport implements engine.Images.
func (e *Engine) ImageImport(ctx context.Context, rootfs io.Reader, ref string, opts image.ImportOptions) (string, error) {
	stream, err := e.api.ImageImport(ctx, image.ImportSource{Source: rootfs, SourceName: "-"}, ref, opts)
	if err != nil {
		return "", e.failed(err)
	}
	defer drain(stream)
	var id string
	err = e.report(stream, engine.ErrInvalid, func(m jsonmessage.JSONMessage) {
		if status := strings.TrimSpace(m.Status); strings.HasPrefix(status, "sha256:") {
			id = status
		}
	})
	return id, err
}

// ImageTag implements engine.Images.
func (e *Engine) ImageTag(ctx context.Context, source, target string) error {
	return e.failed(e.api.ImageTag(ctx, source, target))
}

// ImageRemove implements engine.Images.
func (e *Engine) ImageRemove(ctx context.Context, ref string, opts image.RemoveOptions) ([]image.DeleteResponse, error) {
	list, err := e.api.ImageRemove(ctx, ref, opts)
	return list, e.failed(err)
}

// ImageBuild implements engine.Images.
func (e *Engine) ImageBuild(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error) {
	got, err := e.api.ImageBuild(ctx, buildContext, opts)
	if err != nil {
		return "", e.failed(err)
	}
	defer drain(got.Body)
	var id string
	err = e.report(got.Body, engine.ErrInvalid, func(m jsonmessage.JSONMessage) {
		var result build.Result
		if m.Aux != nil && json.Unmarshal(*m.Aux, &result) == nil && result.ID != "" {
			id = result.ID
		}
	}, progress)
	if err == nil && id == "" {
		err = engine.Errorf(engine.ErrInternal, "cannot tell what was built: the engine's answer ended without an image ID")
	}
	return id, err
}

// DistributionInspect implements engine.Registries.
func (e *Engine) DistributionInspect(ctx context.Context, ref, encodedAuth string) (registry.DistributionInspect, error) {
	d, err := e.api.DistributionInspect(ctx, ref, encodedAuth)
	return d, e.failed(err)
}
