package image

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

var errNotYet = engine.Errorf(engine.ErrUnsupported, "registries are not there yet")

// Pull implements engine.Images.
func (s *Store) Pull(ctx context.Context, ref string, opts image.PullOptions, progress engine.Progress) error {
	return errNotYet
}

// Push implements engine.Images.
func (s *Store) Push(ctx context.Context, ref string, opts image.PushOptions, progress engine.Progress) error {
	return errNotYet
}

// Save implements engine.Images.
func (s *Store) Save(ctx context.Context, refs []string) (io.ReadCloser, error) {
	return nil, errNotYet
}
