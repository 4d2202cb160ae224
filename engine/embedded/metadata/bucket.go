package metadata

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"stackrun.dev/stack/engine"
)

// Bucket is a named set of records.
type Bucket struct {
	db   *DB
	name []byte
}

// Put stores value under key and returns when both are on the disk. The value may be changed afterwards.
func (b *Bucket) Put(key string, value []byte) error {
	if err := b.check(key, value); err != nil {
		return err
	}
	if value == nil {
		value = []byte{}
	}
	return b.wrap("store", key, b.db.write(change{bucket: b.name, key: []byte(key), value: value}))
}

// Delete removes the record and returns when that is on the disk. Deleting what is not there is not an error.
func (b *Bucket) Delete(key string) error {
	if err := b.check(key, nil); err != nil {
		return err
	}
	return b.wrap("delete", key, b.db.write(change{bucket: b.name, key: []byte(key)}))
}

// Get returns the record, and whether there is one.
func (b *Bucket) Get(key string) ([]byte, bool, error) {
	var value []byte
	err := b.view(func(records *bolt.Bucket) {
		value = bytes.Clone(records.Get([]byte(key)))
	})
	return value, value != nil, b.wrap("read", key, err)
}

// All returns a copy of every record.
func (b *Bucket) All() (map[string][]byte, error) {
	all := map[string][]byte{}
	err := b.view(func(records *bolt.Bucket) {
		cursor := records.Cursor()
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			all[string(k)] = bytes.Clone(v)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the records of %q: %w", b.name, err)
	}
	return all, nil
}

// view calls read with the bucket, if it exists.
func (b *Bucket) view(read func(*bolt.Bucket)) error {
	return b.db.bolt.View(func(tx *bolt.Tx) error {
		if records := tx.Bucket(recordBucket).Bucket(b.name); records != nil {
			read(records)
		}
		return nil
	})
}

// check refuses what bbolt would refuse, before it can fail the transaction of others.
func (b *Bucket) check(key string, value []byte) error {
	switch {
	case len(b.name) == 0 || len(b.name) > bolt.MaxKeySize:
		return engine.Errorf(engine.ErrInvalid, "cannot use a bucket of records with a name of %d bytes", len(b.name))
	case key == "" || len(key) > bolt.MaxKeySize:
		return engine.Errorf(engine.ErrInvalid, "cannot use a key of %d bytes in the records of %q", len(key), b.name)
	case len(value) > bolt.MaxValueSize:
		return engine.Errorf(engine.ErrInvalid, "cannot store %d bytes in the records of %q", len(value), b.name)
	}
	return nil
}

func (b *Bucket) wrap(verb, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cannot %s record %q of %q: %w", verb, key, b.name, err)
}
