// Package snapshot keeps the layers of images: compressed as content, unpacked as directories that containers and build
// steps share as the read-only part of their root file systems.
//
// It wires containerd's content store, metadata and overlay snapshotter in process. Nothing is removed when it is
// released; what no image, no container and no build cache record holds any more is collected after removals.
package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/log"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"stackrun.dev/stack/engine"
)

const (
	// Namespace is the containerd namespace that everything in the store lives in.
	Namespace = "stack"
	// Driver is the name of the snapshotter, as labels and BuildKit want it.
	Driver = "overlayfs"
	// RefLabel on an image record keeps the snapshot that it names from being collected.
	RefLabel = "containerd.io/gc.ref.snapshot." + Driver

	// lockWait is how long Open waits for a database that another process has open.
	lockWait = 2 * time.Second
)

// Store is the open store. Its methods may be called from several goroutines.
type Store struct {
	root   string
	bolt   *bolt.DB
	db     *metadata.DB
	driver snapshots.Snapshotter // below db, for Close

	content   content.Store
	images    images.Store
	leases    leases.Manager
	snapshots snapshots.Snapshotter

	lowers     lowers
	extracts   keyedMutex
	collector  collector
	collecting sync.Mutex // a collection is over when its files are gone, not when the next one finds nothing
	closeOnce  sync.Once
	closeErr   error
}

// Open opens the store in the directory root and creates it if there is none. ErrConflict: another engine has it open.
func Open(root string) (*Store, error) {
	// containerd's parts return what matters; what they warn about beside that (a file system without fs-verity) is noise.
	if err := log.SetLevel("error"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot create the image store: %w", err)
	}
	db, err := bolt.Open(filepath.Join(root, "meta.db"), 0o600, &bolt.Options{
		Timeout:        lockWait,
		FreelistType:   bolt.FreelistMapType,
		NoFreelistSync: true,
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, engine.Errorf(engine.ErrConflict, "cannot open the image store in %s: another engine has it open", root)
	}
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open the image store in %s: %w", root, err)
	}
	s, err := wire(root, db)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open the image store in %s: %w", root, errors.Join(err, db.Close()))
	}
	return s, nil
}

// wire puts containerd's parts together over the open database.
func wire(root string, db *bolt.DB) (*Store, error) {
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return nil, err
	}
	driver, err := overlay.NewSnapshotter(filepath.Join(root, "overlay"), overlay.AsynchronousRemove)
	if err != nil {
		return nil, err
	}
	mdb := metadata.NewDB(db, blobs, map[string]snapshots.Snapshotter{Driver: driver})
	s := &Store{
		root:      root,
		bolt:      db,
		db:        mdb,
		driver:    driver,
		content:   mdb.ContentStore(),
		images:    metadata.NewImageStore(mdb),
		leases:    metadata.NewLeaseManager(mdb),
		snapshots: mdb.Snapshotter(Driver),
	}
	s.lowers.dirs = map[string]*lower{}
	s.collector.init(s.collect)
	if err := mdb.Init(context.Background()); err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	if err := errors.Join(s.inherit(), s.dropStaleLeases()); err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	return s, nil
}

// Close waits for a collection that runs and closes the databases. The store must not be used afterwards.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.collector.close()
		s.closeErr = errors.Join(s.driver.Close(), s.db.Close(), s.bolt.Close())
	})
	return s.closeErr
}

// Root is the directory that the store lives in.
func (s *Store) Root() string { return s.root }

// Metadata is the database under the store, for BuildKit's own wiring.
func (s *Store) Metadata() *metadata.DB { return s.db }

// Content holds blobs by their digest. Contexts must carry the namespace; see Context.
func (s *Store) Content() content.Store { return s.content }

// Images holds image records. Contexts must carry the namespace; see Context.
func (s *Store) Images() images.Store { return s.images }

// Snapshotter holds the unpacked layers. Contexts must carry the namespace; see Context.
func (s *Store) Snapshotter() snapshots.Snapshotter { return s.snapshots }

// Context returns ctx with the store's namespace.
func (s *Store) Context(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, Namespace)
}
