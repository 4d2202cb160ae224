package image

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// privateRefs is a content store whose writers never meet those of another operation.
type privateRefs struct{ content.Store }

func (p privateRefs) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	o.Ref += "-" + rand.Text()
	return p.Store.Writer(ctx, func(w *content.WriterOpts) error { *w = o; return nil })
}

// wrap puts what was tried in front of a cause and gives it a kind: its own, or one by its nature.
func wrap(err error, what string) error {
	var own *engine.Error
	var kind error = engine.ErrInternal
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &own):
		kind = own.Kind
	case errdefs.IsNotFound(err), errdefs.IsInvalidArgument(err), errdefs.IsFailedPrecondition(err):
		kind = engine.ErrInvalid // something refers to what is not there, or is not what it says
	case errors.Is(err, unix.ENOSPC), errors.Is(err, fs.ErrPermission):
		kind = engine.ErrInternal
	}
	return engine.Errorf(kind, what+": %w", err)
}

// commit ends a writer; content that is there already is as good.
func commit(ctx context.Context, w content.Writer, desc ocispec.Descriptor) error {
	err := w.Commit(ctx, desc.Size, desc.Digest)
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// release gives back what an operation held. If it failed, nobody else has what it had written.
func (s *Store) release(release func(), err *error) {
	release()
	if *err != nil {
		s.snapshots.Collect()
	}
}
