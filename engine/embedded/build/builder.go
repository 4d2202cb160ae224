// Package build builds images from Dockerfiles with an embedded BuildKit whose steps run in the engine's own containers.
//
// BuildKit's solver, its Dockerfile frontend and its worker run in this process over the engine's snapshot store: layers
// are shared with images and containers, and a result becomes an image without being copied. The build cache lives in
// the builder's directory and survives restarts.
package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/docker/docker/api/types/build"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Options says what a Builder works with.
type Options struct {
	Root      string // directory of the build cache; created by the first build
	Snapshots *snapshot.Store
	Images    *image.Store
	Runner    Runner
}

// Builder builds images. BuildKit is opened by the first build.
type Builder struct {
	opts Options

	mu     sync.Mutex
	kit    *kit // nil before the first build
	closed bool
	active int // builds that run
	builds sync.WaitGroup
	ctx    context.Context // ends with Close
	stop   context.CancelCauseFunc
}

var errClosed = errors.New("the engine is going away")

// New returns a Builder. It opens nothing; if an earlier engine was killed while it built, its mounts are removed.
func New(opts Options) *Builder {
	b := &Builder{opts: opts}
	b.ctx, b.stop = context.WithCancelCause(context.Background())
	sweepMounts(opts.Root)
	return b
}

// Close cancels the builds that run, waits for them and closes the build cache.
func (b *Builder) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.stop(errClosed)
	b.builds.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kit == nil {
		return nil
	}
	err := b.kit.close()
	b.kit = nil
	return err
}

// Build implements engine.Images.ImageBuild.
func (b *Builder) Build(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error) {
	req, err := newRequest(opts)
	if err != nil {
		return "", err
	}
	k, done, err := b.begin()
	if err != nil {
		return "", err
	}
	defer done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.ctx, func() { cancel(errClosed) })()

	files, err := b.readContext(ctx, req, buildContext)
	if err != nil {
		return "", err
	}
	defer files.close()
	return k.build(ctx, req, files, progress)
}

// begin opens BuildKit if that has not happened and registers a build.
func (b *Builder) begin() (*kit, func(), error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, engine.Errorf(engine.ErrUnavailable, "cannot build: %w", errClosed)
	}
	if b.kit == nil {
		k, err := openKit(b.opts)
		if err != nil {
			return nil, nil, engine.Errorf(engine.ErrInternal, "cannot open the build cache in %s: %w", b.opts.Root, err)
		}
		b.kit = k
	}
	if b.active++; b.active == 1 {
		// Without the mark nothing but the tidying up after a crash is lost.
		_ = os.WriteFile(filepath.Join(b.opts.Root, runningMark), nil, 0o600)
	}
	b.builds.Add(1)
	return b.kit, b.end, nil
}

func (b *Builder) end() {
	b.mu.Lock()
	if b.active--; b.active == 0 {
		_ = os.Remove(filepath.Join(b.opts.Root, runningMark))
	}
	b.mu.Unlock()
	b.builds.Done()
}

func (b *Builder) readContext(ctx context.Context, req request, in io.Reader) (*contextFiles, error) {
	if in == nil || req.remote {
		return emptyContext(), nil
	}
	plain, err := snapshot.Decompress(ctx, in)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot read the build context: %w", err)
	}
	defer plain.Close()
	return readContext(plain, b.opts.Root)
}
