package engine

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"
)

// Progress receives what a long operation has to tell while it goes on: Docker's JSON messages, in order, one at a
// time. It must not block for long. Errors do not come this way; the operation returns them. A nil Progress is allowed.
type Progress func(jsonmessage.JSONMessage)

// Report hands the message to p, unless p is nil.
func (p Progress) Report(m jsonmessage.JSONMessage) {
	if p != nil {
		p(m)
	}
}

// Images keeps images: root file systems with the configuration to run them, named by references such as
// "debian:bookworm-slim". References are normalised as Docker does ("debian" is "docker.io/library/debian:latest") and
// shown in their familiar form.
type Images interface {
	ImageList(ctx context.Context, opts image.ListOptions) ([]image.Summary, error)
	ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error)
	ImageHistory(ctx context.Context, ref string) ([]image.HistoryResponseItem, error)

	// ImagePull fetches ref from its registry. Every byte is checked against the digest that was asked for.
	// ErrNotFound: the registry answers and has no such image. ErrUnavailable: it does not answer.
	ImagePull(ctx context.Context, ref string, opts image.PullOptions, progress Progress) error

	// ImagePush sends ref to its registry.
	ImagePush(ctx context.Context, ref string, opts image.PushOptions, progress Progress) error

	// ImageLoad reads the archive that docker save or an OCI tool wrote (plain or gzip or zstd) and stores all its images.
	// It returns their references; an image without a name is returned as its ID.
	ImageLoad(ctx context.Context, archive io.Reader, progress Progress) ([]string, error)

	// ImageSave writes an archive with the named images that ImageLoad and docker load read. The caller closes it.
	ImageSave(ctx context.Context, refs []string) (io.ReadCloser, error)

	// ImageImport makes an image of one layer from a tar of a root file system and returns its ID. ref may be empty.
	ImageImport(ctx context.Context, rootfs io.Reader, ref string, opts image.ImportOptions) (string, error)

	// ImageTag gives the image source the further name target, taking that name away from what had it.
	ImageTag(ctx context.Context, source, target string) error

	// ImageRemove takes the name away and, with the last name, the image. ErrConflict: a container uses it.
	ImageRemove(ctx context.Context, ref string, opts image.RemoveOptions) ([]image.DeleteResponse, error)

	// ImageBuild builds the Dockerfile opts.Dockerfile of the build context, a tar (plain or compressed), names the
	// result by opts.Tags and returns its ID. A failing step is of kind ErrInvalid and names the Dockerfile's line, the
	// instruction, the exit code and the last lines that it printed.
	ImageBuild(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress Progress) (string, error)
}

// Registries answers for the registries that images come from.
type Registries interface {
	// DistributionInspect asks ref's registry which manifest the reference stands for there, and for which platforms it
	// has images. Nothing is stored. encodedAuth is as in image.PullOptions, "" for none. ErrNotFound: the registry answers
	// and has no such image, or wants other credentials. ErrUnavailable: it does not answer.
	DistributionInspect(ctx context.Context, ref, encodedAuth string) (registry.DistributionInspect, error)
}
