package image

import (
	"context"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// Save implements engine.Images. The archive is an OCI layout and at the same time one of docker save.
func (s *Store) Save(ctx context.Context, refs []string) (io.ReadCloser, error) {
	if len(refs) == 0 {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot save: no image is named")
	}
	ctx, release, err := s.snapshots.Hold(ctx)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot save images: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	opts, err := s.exports(ctx, refs)
	if err != nil {
		cancel()
		release()
		return nil, err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer release()
		err := archive.Export(ctx, s.snapshots.Content(), w, opts...)
		if err != nil {
			err = wrap(err, "cannot save "+strings.Join(refs, ", "))
		}
		w.CloseWithError(err)
	}()
	return &saved{PipeReader: r, cancel: cancel, done: done}, nil
}

// exports says what the archive has: each image once, with the names by which it was asked for.
func (s *Store) exports(ctx context.Context, refs []string) ([]archive.ExportOpt, error) {
	names := map[string][]string{}
	manifests := map[string]ocispec.Descriptor{}
	var order []string
	for _, ref := range refs {
		e, name, err := s.find(ctx, ref)
		if err != nil {
			return nil, err
		}
		if _, seen := manifests[e.id]; !seen {
			order = append(order, e.id)
			manifests[e.id] = e.manifest
			if err := s.snapshots.HoldContent(ctx, e.manifest.Digest); err != nil {
				return nil, engine.Errorf(engine.ErrInternal, "cannot save %s: %w", ref, err)
			}
		}
		if _, digested := familiar(name); name != "" && !digested {
			names[e.id] = append(names[e.id], name)
		}
	}
	opts := []archive.ExportOpt{archive.WithPlatform(platforms.All), archive.WithSkipNonDistributableBlobs()}
	for _, id := range order {
		opts = append(opts, archive.WithManifest(manifests[id], names[id]...))
	}
	return opts, nil
}

// saved is the reading end of an archive that is being written.
type saved struct {
	*io.PipeReader
	cancel context.CancelFunc
	done   chan struct{}
}

// Close stops the writer and waits for it.
func (s *saved) Close() error {
	s.cancel()
	err := s.PipeReader.Close()
	<-s.done
	return err
}
