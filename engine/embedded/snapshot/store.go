// Package snapshot keeps the layers of images: compressed as content, unpacked as directories that containers and build
// steps share as the read-only part of their root file systems.
//
// It wires containerd's content store, metadata and overlay snapshotter in process. Nothing is removed when it is
// released; what no image, no container and no build cache record holds any more is collected after removals.
package snapshot

import (
	"context"

	"stackrun.dev/stack/engine"
)

// Store is the open store. Its methods may be called from several goroutines.
type Store struct{}

// Open opens the store in the directory root and creates it if there is none.
func Open(root string) (*Store, error) {
	return nil, engine.Errorf(engine.ErrUnsupported, "cannot open the image store yet")
}

// Close stops background work and closes the databases.
func (s *Store) Close() error { return nil }

// Lower returns the directories of the snapshot key, the topmost first, as overlayfs wants them in lowerdir. They stay
// as they are until release is called, even if the image is removed meanwhile. After a restart Lower must be called
// again for everything that still uses the directories, before the first image is removed.
func (s *Store) Lower(ctx context.Context, key string) (dirs []string, release func(), err error) {
	return nil, nil, engine.Errorf(engine.ErrUnsupported, "cannot give out snapshots yet")
}
