package image

import (
	"context"
	"errors"
	"io"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

// Keep makes an image of the manifest in the content store whose layers are unpacked as the snapshot, and gives it the
// names, each taken away from what had it. Without names the image has its ID only. It returns the ID. ctx must come
// from snapshot.Store.Hold, under which the content was written.
func (s *Store) Keep(ctx context.Context, manifest ocispec.Descriptor, snapshotKey string, names []string) (string, error) {
	tags := make([]string, len(names))
	for i, name := range names {
		named, err := parseTag(name)
		if err != nil {
			return "", err
		}
		tags[i] = named.String()
	}
	p, err := s.parse(ctx, manifest)
	if err != nil {
		return "", err
	}
	return s.keep(ctx, p, snapshotKey, tags)
}

// unpackAndKeep is Keep for layers that are not unpacked yet.
func (s *Store) unpackAndKeep(ctx context.Context, p parts, hooks snapshot.UnpackHooks, recordNames []string) (string, error) {
	key, err := s.snapshots.Unpack(ctx, p.layers, hooks)
	if err != nil {
		return "", err
	}
	return s.keep(ctx, p, key, recordNames)
}

func (s *Store) keep(ctx context.Context, p parts, key string, recordNames []string) (string, error) {
	size, err := s.usage(ctx, key)
	if err != nil {
		return "", err
	}
	if err := s.label(ctx, p.desc.Digest, p.gcLabels()); err != nil {
		return "", engine.Errorf(engine.ErrInternal, "cannot store image %s: %w", p.id(), err)
	}
	e := entry{id: p.id(), manifest: p.desc, snapshot: key, size: size}
	s.naming.Lock()
	defer s.naming.Unlock()
	return e.id, s.name(ctx, e, recordNames)
}

// name gives the image the names; s.naming is held. An image that loses its last name this way stays, without a name.
func (s *Store) name(ctx context.Context, e entry, recordNames []string) error {
	if len(recordNames) == 0 {
		c, err := s.catalog(ctx)
		if err != nil {
			return err
		}
		if _, ok := c.withID(e.id); ok {
			return nil
		}
		return s.put(ctx, untaggedPrefix+e.id, e)
	}
	for _, name := range recordNames {
		if err := s.strand(ctx, name, e.id); err != nil {
			return err
		}
		if err := s.put(ctx, name, e); err != nil {
			return err
		}
	}
	return s.drop(ctx, untaggedPrefix+e.id)
}

// strand prepares the image that has the name for losing it to the image id: if it is its last tag, the image gets a
// record without a name.
func (s *Store) strand(ctx context.Context, name, id string) error {
	c, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	owner, ok := c.named(name)
	if !ok || owner.id == id || len(owner.names) > 1 {
		return nil
	}
	return s.put(ctx, untaggedPrefix+owner.id, owner)
}

// usage adds up what the snapshot and those below it take on the disk.
func (s *Store) usage(ctx context.Context, key string) (total int64, err error) {
	err = s.eachLayer(ctx, key, func(size int64) { total += size })
	return total, err
}

// eachLayer calls do with the size of each snapshot from key downwards.
func (s *Store) eachLayer(ctx context.Context, key string, do func(size int64)) error {
	sn := s.snapshots.Snapshotter()
	for key != "" {
		info, err := sn.Stat(ctx, key)
		if err != nil {
			return engine.Errorf(engine.ErrInternal, "cannot read snapshot %s: %w", key, err)
		}
		u, err := sn.Usage(ctx, key)
		if err != nil {
			return engine.Errorf(engine.ErrInternal, "cannot measure snapshot %s: %w", key, err)
		}
		do(u.Size)
		key = info.Parent
	}
	return nil
}
