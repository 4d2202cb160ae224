package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/labels"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/klauspost/compress/gzip"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/engine"
)

// Push implements engine.Images. Layers that are kept plain are compressed first, and stay compressed.
func (s *Store) Push(ctx context.Context, ref string, opts image.PushOptions, progress engine.Progress) error {
	named, err := parseTag(ref)
	if err != nil {
		return err
	}
	if opts.All {
		return engine.Errorf(engine.ErrUnsupported, "cannot push all tags of %s: this engine pushes one at a time", reference.FamiliarName(named))
	}
	h, err := dial(named, opts.RegistryAuth)
	if err != nil {
		return err
	}
	defer h.close()
	ctx, release, err := s.snapshots.Hold(ctx)
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot push %s: %w", ref, err)
	}
	defer func() {
		release()
		s.snapshots.Collect() // layers that were replaced by their compressed form
	}()
	c, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	e, ok := c.named(named.String())
	if !ok {
		return engine.Errorf(engine.ErrNotFound, "cannot push %s: no such image", ref)
	}
	p := &push{store: s, hub: h, teller: &teller{report: progress}}
	if err := p.run(ctx, e); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return h.explain(err, "push")
	}
	return nil
}

// push is one push that goes on.
type push struct {
	store  *Store
	hub    *hub
	teller *teller
	pusher remotes.Pusher
}

func (p *push) run(ctx context.Context, e entry) (err error) {
	named := p.hub.name
	if p.pusher, err = p.hub.resolver.Pusher(ctx, named.String()); err != nil {
		return err
	}
	p.teller.say("", "The push refers to repository ["+named.Name()+"]")
	parsed, err := p.store.parse(ctx, e.manifest)
	if err != nil {
		return err
	}
	if err := p.layers(ctx, &parsed); err != nil {
		return err
	}
	if err := p.blob(ctx, parsed.manifest.Config, ""); err != nil {
		return err
	}
	desc, err := p.store.repack(ctx, e, parsed)
	if err != nil {
		return err
	}
	if err := p.blob(ctx, desc, ""); err != nil {
		return err
	}
	if err := p.remember(ctx, e, desc); err != nil {
		return err
	}
	p.teller.say("", fmt.Sprintf("%s: digest: %s size: %d", tagOf(named), desc.Digest, desc.Size))
	result, err := json.Marshal(types.PushResult{Tag: tagOf(named), Digest: desc.Digest.String(), Size: int(desc.Size)})
	if err == nil {
		p.teller.send(jsonmessage.JSONMessage{Aux: (*json.RawMessage)(&result)})
	}
	return nil
}

// layers sends the layers and leaves in parsed what was sent.
func (p *push) layers(ctx context.Context, parsed *parts) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for i := range parsed.manifest.Layers {
		layer := &parsed.manifest.Layers[i]
		name := layerName(layer.Digest)
		p.teller.say(name, "Preparing")
		group.Go(func() error {
			packed, err := p.store.pack(ctx, *layer)
			if err != nil {
				return fmt.Errorf("cannot compress layer %s: %w", layer.Digest, err)
			}
			*layer = packed
			return p.blob(ctx, packed, name)
		})
	}
	return group.Wait()
}

// blob sends one blob unless the registry has it.
func (p *push) blob(ctx context.Context, desc ocispec.Descriptor, name string) error {
	w, err := p.pusher.Push(ctx, desc)
	if errdefs.IsAlreadyExists(err) {
		if name != "" {
			p.teller.say(name, "Layer already exists")
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	ra, err := p.store.snapshots.Content().ReaderAt(ctx, desc)
	if err != nil {
		return err
	}
	defer ra.Close()
	in := content.NewReader(ra)
	if name != "" {
		in = &meter{Reader: in, teller: p.teller, id: name, status: "Pushing", total: desc.Size}
	}
	if err := content.Copy(ctx, w, in, desc.Size, desc.Digest); err != nil {
		return err
	}
	if name != "" {
		p.teller.say(name, "Pushed")
	}
	return nil
}

// pack returns the layer compressed. One that is compressed already is returned as it is.
func (s *Store) pack(ctx context.Context, layer ocispec.Descriptor) (ocispec.Descriptor, error) {
	packed := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip}
	switch layer.MediaType {
	case ocispec.MediaTypeImageLayer:
	case images.MediaTypeDockerSchema2Layer:
		packed.MediaType = images.MediaTypeDockerSchema2LayerGzip
	default:
		return layer, nil
	}
	store := s.snapshots.Content()
	ra, err := store.ReaderAt(ctx, layer)
	if err != nil {
		return layer, err
	}
	defer ra.Close()
	w, err := content.OpenWriter(ctx, store, content.WithRef("pack-"+rand.Text()))
	if err != nil {
		return layer, err
	}
	defer w.Close()
	z := gzip.NewWriter(w)
	if _, err := io.Copy(z, content.NewReader(ra)); err != nil {
		return layer, err
	}
	if err := z.Close(); err != nil {
		return layer, err
	}
	status, err := w.Status()
	if err != nil {
		return layer, err
	}
	packed.Digest, packed.Size = w.Digest(), status.Offset
	if err := commit(ctx, w, packed); err != nil {
		return layer, err
	}
	return packed, s.label(ctx, packed.Digest, map[string]string{labels.LabelUncompressed: layer.Digest.String()})
}

// repack stores the manifest over the layers as they were sent, if they are not those that it was made for.
func (s *Store) repack(ctx context.Context, e entry, sent parts) (ocispec.Descriptor, error) {
	data, err := s.readBlob(ctx, e.manifest, maxManifest)
	if err != nil {
		return e.manifest, err
	}
	var before ocispec.Manifest
	if err := json.Unmarshal(data, &before); err != nil {
		return e.manifest, err
	}
	same := true
	for i, l := range before.Layers {
		same = same && l.Digest == sent.manifest.Layers[i].Digest
	}
	if same {
		return e.manifest, nil
	}
	sent.manifest.MediaType = e.manifest.MediaType
	if data, err = json.Marshal(sent.manifest); err != nil {
		return e.manifest, err
	}
	return s.writeBlob(ctx, e.manifest.MediaType, data, sent.gcLabels())
}

// remember gives the image the name under which the registry has it now. All its names lead to what was sent, so that
// it is not compressed again.
func (p *push) remember(ctx context.Context, e entry, sent ocispec.Descriptor) error {
	byDigest, err := digestName(p.hub.name, sent.Digest)
	if err != nil {
		return err
	}
	s := p.store
	s.naming.Lock()
	defer s.naming.Unlock()
	c, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	now, ok := c.withID(e.id)
	if !ok {
		return nil // it was removed meanwhile
	}
	e.manifest = sent
	for _, name := range append(slices.Clone(now.names), byDigest) {
		if err := s.put(ctx, name, e); err != nil {
			return err
		}
	}
	return nil
}
