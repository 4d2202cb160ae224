package image

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Pull implements engine.Images. Layers are downloaded and unpacked at the same time.
func (s *Store) Pull(ctx context.Context, ref string, opts image.PullOptions, progress engine.Progress) (err error) {
	named, err := parseName(ref)
	if err != nil {
		return err
	}
	if opts.All {
		return engine.Errorf(engine.ErrUnsupported, "cannot pull all tags of %s: this engine pulls one at a time", reference.FamiliarName(named))
	}
	want, err := platformOf(opts.Platform)
	if err != nil {
		return err
	}
	h, err := dial(named, opts.RegistryAuth)
	if err != nil {
		return err
	}
	defer h.close()
	ctx, release, err := s.snapshots.Hold(ctx)
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot pull %s: %w", ref, err)
	}
	defer s.release(release, &err)
	p := &pull{store: s, hub: h, want: want, teller: &teller{report: progress}}
	if err := p.run(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return h.explain(err, "pull")
	}
	return nil
}

func platformOf(text string) (platforms.MatchComparer, error) {
	if text == "" {
		return platforms.Default(), nil
	}
	p, err := platforms.Parse(text)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "invalid platform %q: %w", text, err)
	}
	return platforms.Only(p), nil
}

// pull is one pull that goes on.
type pull struct {
	store   *Store
	hub     *hub
	want    platforms.MatchComparer
	teller  *teller
	fetcher remotes.Fetcher
}

func (p *pull) run(ctx context.Context) error {
	named := p.hub.name
	_, top, err := p.hub.resolver.Resolve(ctx, recordName(named))
	if err != nil {
		return err
	}
	if err := top.Digest.Validate(); err != nil {
		return engine.Errorf(engine.ErrInvalid, "the registry answers with an invalid digest %q: %w", top.Digest, err)
	}
	if p.fetcher, err = p.hub.resolver.Fetcher(ctx, recordName(named)); err != nil {
		return err
	}
	p.teller.say(tagOrDigest(named), "Pulling from "+reference.Path(named))
	manifest, err := p.store.choose(ctx, top, p.want, p.fetchManifest)
	if err != nil {
		return err
	}
	names, err := pulledNames(named, top.Digest)
	if err != nil {
		return err
	}
	status := "Image is up to date for "
	if !p.store.hasAll(ctx, names, manifest.Digest) {
		if err := p.image(ctx, manifest, names); err != nil {
			return err
		}
		status = "Downloaded newer image for "
	}
	p.teller.say("", "Digest: "+top.Digest.String())
	p.teller.say("", "Status: "+status+reference.FamiliarString(named))
	return nil
}

func tagOrDigest(named reference.Named) string {
	if d, ok := named.(reference.Digested); ok {
		return d.Digest().String()
	}
	return tagOf(named)
}

// pulledNames are the names that an image gets by being pulled: the tag that was asked for and the registry's digest.
func pulledNames(named reference.Named, dgst digest.Digest) ([]string, error) {
	byDigest, err := digestName(named, dgst)
	if err != nil {
		return nil, err
	}
	if _, ok := named.(reference.Digested); ok {
		return []string{byDigest}, nil
	}
	return []string{named.String(), byDigest}, nil
}

// hasAll says whether all the names lead to the manifest already.
func (s *Store) hasAll(ctx context.Context, names []string, manifest digest.Digest) bool {
	c, err := s.catalog(ctx)
	if err != nil {
		return false
	}
	for _, name := range names {
		if e, ok := c.named(name); !ok || e.manifest.Digest != manifest {
			return false
		}
	}
	return true
}

// image fetches and unpacks what the manifest lists, both at the same time, and gives the image its names.
func (p *pull) image(ctx context.Context, manifest ocispec.Descriptor, names []string) error {
	config, err := p.store.configOf(ctx, manifest)
	if err != nil {
		return err
	}
	if err := p.fetch(ctx, config, maxConfig, nil); err != nil {
		return err
	}
	parsed, err := p.store.parse(ctx, manifest)
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	ready := p.download(groupCtx, group, parsed.layers)
	group.Go(func() error {
		_, err := p.store.unpackAndKeep(groupCtx, parsed, snapshot.UnpackHooks{
			Ready: func(ctx context.Context, i int) error {
				select {
				case <-ready[parsed.layers[i].Blob.Digest]:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			Unpacked: func(i int) { p.teller.say(layerName(parsed.layers[i].Blob.Digest), "Pull complete") },
		}, names)
		return err
	})
	return group.Wait()
}

// download starts fetching the layers. The channel of each blob is closed when it is there.
func (p *pull) download(ctx context.Context, group *errgroup.Group, layers []snapshot.Layer) map[digest.Digest]chan struct{} {
	ready := map[digest.Digest]chan struct{}{}
	slots := make(chan struct{}, transfers)
	for _, l := range layers {
		if ready[l.Blob.Digest] != nil {
			continue // the same layer twice
		}
		done := make(chan struct{})
		ready[l.Blob.Digest] = done
		p.teller.say(layerName(l.Blob.Digest), "Pulling fs layer")
		group.Go(func() error {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-slots }()
			if err := p.layer(ctx, l.Blob); err != nil {
				return err
			}
			close(done)
			return nil
		})
	}
	return ready
}

func (p *pull) layer(ctx context.Context, blob ocispec.Descriptor) error {
	id := layerName(blob.Digest)
	there := true
	err := p.fetch(ctx, blob, blob.Size, func(r io.Reader) io.Reader {
		there = false
		return &meter{Reader: r, teller: p.teller, id: id, status: "Downloading", total: blob.Size}
	})
	if err != nil {
		return fmt.Errorf("layer %s: %w", blob.Digest, err)
	}
	if there {
		p.teller.say(id, "Already exists")
	} else {
		p.teller.say(id, "Download complete")
	}
	return nil
}

func (p *pull) fetchManifest(ctx context.Context, desc ocispec.Descriptor) error {
	return p.fetch(ctx, desc, maxManifest, nil)
}

// fetch downloads a blob unless it is there. No more is read than the descriptor says, and what was read must have its
// digest. wrap may watch the download.
func (p *pull) fetch(ctx context.Context, desc ocispec.Descriptor, limit int64, wrap func(io.Reader) io.Reader) error {
	if err := desc.Digest.Validate(); err != nil {
		return engine.Errorf(engine.ErrInvalid, "invalid digest %q: %w", desc.Digest, err)
	}
	if desc.Size < 0 || desc.Size > limit {
		return engine.Errorf(engine.ErrInvalid, "%s has %d bytes where at most %d are allowed", desc.Digest, desc.Size, limit)
	}
	plain := ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	store, ref := p.store.snapshots.Content(), "pull-"+desc.Digest.String()
	w, err := content.OpenWriter(ctx, store, content.WithRef(ref), content.WithDescriptor(plain))
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = p.fetchTo(ctx, w, plain, wrap)
	if closeErr := w.Close(); err == nil {
		return closeErr
	}
	// What was written is not what was wanted. If it stays, a collection takes it.
	_ = store.Abort(context.WithoutCancel(ctx), ref)
	return err
}

func (p *pull) fetchTo(ctx context.Context, w content.Writer, desc ocispec.Descriptor, wrap func(io.Reader) io.Reader) error {
	body, err := p.fetcher.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := w.Truncate(0); err != nil { // what a process that was killed has left
		return err
	}
	in := io.LimitReader(body, desc.Size+1)
	if wrap != nil {
		in = wrap(in)
	}
	n, err := io.Copy(w, in)
	if err != nil {
		return err
	}
	if n != desc.Size {
		return engine.Errorf(engine.ErrInvalid, "%s has not %d bytes but %d or more", desc.Digest, desc.Size, n)
	}
	if got := w.Digest(); got != desc.Digest {
		return engine.Errorf(engine.ErrInvalid, "the registry answers %s with the content of %s", desc.Digest, got)
	}
	return commit(ctx, w, desc)
}
