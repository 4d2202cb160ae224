package metadata

import (
	"errors"

	bolt "go.etcd.io/bbolt"
)

var errClosed = errors.New("the records are closed")

// change is one Put or, with a nil value, one Delete.
type change struct {
	bucket, key, value []byte
}

// batch is a set of changes that one transaction writes, in the order in which they came.
type batch struct {
	changes []change
	done    chan struct{} // closed when err is set
	err     error
}

// write returns when the change is on the disk. The first writer of a batch carries it there for all: it waits until
// the transaction before is over, and whoever comes meanwhile joins its batch.
func (db *DB) write(c change) error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return errClosed
	}
	if b := db.pending; b != nil {
		b.changes = append(b.changes, c)
		db.mu.Unlock()
		<-b.done
		return b.err
	}
	b := &batch{changes: []change{c}, done: make(chan struct{})}
	db.pending = b
	for db.busy {
		db.committed.Wait()
	}
	db.pending = nil
	db.busy = true
	db.mu.Unlock()

	b.err = db.bolt.Update(b.apply)
	close(b.done)

	db.mu.Lock()
	db.busy = false
	db.committed.Broadcast() // at most one batch and those who close wait
	db.mu.Unlock()
	return b.err
}

func (b *batch) apply(tx *bolt.Tx) error {
	records := tx.Bucket(recordBucket)
	for _, c := range b.changes {
		if err := c.apply(records); err != nil {
			return err
		}
	}
	return nil
}

func (c change) apply(records *bolt.Bucket) error {
	if c.value == nil {
		if bucket := records.Bucket(c.bucket); bucket != nil {
			return bucket.Delete(c.key)
		}
		return nil
	}
	bucket, err := records.CreateBucketIfNotExists(c.bucket)
	if err != nil {
		return err
	}
	return bucket.Put(c.key, c.value)
}
