// Package metadata keeps the engine's durable records: small values under string keys, in named buckets, in one file.
//
// A write has reached the disk when its call returns. Writes that come while another is on its way to the disk share
// the next transaction and its sync, so that fifty containers starting at once cost a few syncs and not fifty; a
// write that comes alone waits for nothing but its own.
package metadata

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"stackrun.dev/stack/engine"
)

// formatVersion is written to every file. A file of a higher version is refused.
const formatVersion = "1"

// lockTimeout is below the interval at which bbolt tries a taken lock again: a second opener learns at once.
const lockTimeout = time.Millisecond

var (
	formatBucket = []byte("format")  // holds versionKey
	versionKey   = []byte("version") // the version in decimal
	recordBucket = []byte("records") // holds the users' buckets, so that any name is free to them
)

// DB is an open file of records. Its methods may be called from several goroutines.
type DB struct {
	bolt *bolt.DB

	mu        sync.Mutex // guards what follows
	pending   *batch     // writes that wait for the next transaction
	busy      bool       // a transaction is under way
	closed    bool
	committed sync.Cond // signalled when busy falls
}

// Open opens the file at path and creates it (mode 0600), and its directory (0700), if it is not there.
// ErrConflict: another process has it open. ErrUnsupported: a newer version of the program wrote it.
func Open(path string) (*DB, error) {
	created, err := prepare(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the records %s: %w", path, err)
	}
	b, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true, // one page less per transaction; the file is small enough to be scanned when opened
		FreelistType:   bolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, engine.Errorf(engine.ErrConflict, "cannot open the records %s: another engine uses them", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the records %s: %w", path, err)
	}
	if err := checkFormat(b, path); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if created {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot store the records %s: %w", path, err), b.Close())
		}
	}
	db := &DB{bolt: b}
	db.committed.L = &db.mu
	return db, nil
}

// prepare makes the directory and says whether the file has yet to be created.
func prepare(path string) (bool, error) {
	_, err := os.Lstat(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return false, err
	}
	return true, os.MkdirAll(filepath.Dir(path), 0o700)
}

// checkFormat writes the format into an empty file and compares it in any other.
func checkFormat(b *bolt.DB, path string) error {
	var found string
	err := b.View(func(tx *bolt.Tx) error {
		if f := tx.Bucket(formatBucket); f != nil {
			found = string(f.Get(versionKey))
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("cannot read the records %s: %w", path, err)
	case found == formatVersion:
		return nil
	case found != "":
		return engine.Errorf(engine.ErrUnsupported, "cannot read the records %s: they have format %q and this version knows %q only",
			path, found, formatVersion)
	}
	return b.Update(func(tx *bolt.Tx) error {
		f, err := tx.CreateBucketIfNotExists(formatBucket)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists(recordBucket); err != nil {
			return err
		}
		return f.Put(versionKey, []byte(formatVersion))
	})
}

// syncDir makes the file's name durable: syncing the file does not.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Bucket returns the records of that name. It costs nothing and creates nothing; the first Put does.
func (db *DB) Bucket(name string) *Bucket {
	return &Bucket{db: db, name: []byte(name)}
}

// Close waits for the writes that are under way and closes the file. Later calls fail.
func (db *DB) Close() error {
	db.mu.Lock()
	db.closed = true
	for db.busy || db.pending != nil {
		db.committed.Wait()
	}
	db.mu.Unlock()
	return db.bolt.Close()
}
