// Package imagebuild has an engine build an image: with the engine's BuildKit where it gives access to it, else by the call
// that takes the context as a tar.
//
// BuildKit asks for the files that it needs and for those that changed since the last build, and for secrets, SSH agents and
// credentials when a step wants them.
package imagebuild

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/docker/docker/api/types/build"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute/buildcontext"
	"stackrun.dev/stack/engine"
)

// Engine is what building needs of an engine.
type Engine interface {
	engine.Builds
	ImageBuild(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error)
}

// Options are the choices that do not change what is built.
type Options struct {
	// Context opens the context as a tar, for engines without BuildKit. nil: buildcontext.Open.
	Context func(*desired.Build) (io.ReadCloser, error)

	// Auth gives the registry credentials for an image in the encoded form of Docker's X-Registry-Auth. May be nil.
	Auth func(ref string) string

	Progress engine.Progress
}

// Build returns the ID of the image.
func Build(ctx context.Context, e Engine, b *desired.Build, o Options) (string, error) {
	conn, err := e.BuildKit(ctx)
	if err == nil {
		if err := buildcontext.Check(b); err != nil {
			return "", errors.Join(err, conn.Close())
		}
		s := &solve{build: b, options: o}
		return s.run(ctx, conn)
	}
	if !errors.Is(err, engine.ErrUnsupported) {
		return "", err
	}
	if needs := b.NeedsBuildKit(); len(needs) > 0 {
		return "", engine.Errorf(engine.ErrUnsupported, "cannot build %s: %s can only be done with an engine's BuildKit, and %w", b.Service, strings.Join(needs, ", "), err)
	}
	return sendTar(ctx, e, b, o)
}

func sendTar(ctx context.Context, e Engine, b *desired.Build, o Options) (string, error) {
	open := o.Context
	if open == nil {
		open = buildcontext.Open
	}
	content, err := open(b)
	if err != nil {
		return "", err
	}
	defer content.Close() //nolint:errcheck // read only
	options := b.Options
	options.Dockerfile = buildcontext.DockerfileName(b)
	return e.ImageBuild(ctx, content, options, o.Progress)
}
