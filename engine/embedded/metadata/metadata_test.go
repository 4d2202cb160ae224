package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	bolt "go.etcd.io/bbolt"

	"stackrun.dev/stack/engine"
)

func open(t testing.TB, path string) *DB {
	t.Helper()
	db, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestRecordsSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "records.db")
	db := open(t, path)
	b := db.Bucket("containers")
	value := []byte("one")
	for _, err := range []error{b.Put("a", value), b.Put("b", nil), b.Put("c", []byte("three")), b.Delete("c"), b.Delete("never")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	value[0] = 'X'
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open(t, path)
	got, err := db.Bucket("containers").All()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"a": []byte("one"), "b": {}}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %q, want %q", got, want)
	}
	if v, ok, err := db.Bucket("containers").Get("a"); string(v) != "one" || !ok || err != nil {
		t.Errorf("Get(a) = %q, %v, %v", v, ok, err)
	}
	if _, ok, err := db.Bucket("containers").Get("c"); ok || err != nil {
		t.Errorf("Get(c) = %v, %v", ok, err)
	}
	if other, err := db.Bucket("format").All(); len(other) != 0 || err != nil {
		t.Errorf("the bucket %q is not free: %q, %v", "format", other, err)
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "records.db")
	open(t, path)
	for p, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		st, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", p, got, want)
		}
	}
}

func TestSecondOpenerIsToldWhy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	open(t, path)
	_, err := Open(path)
	if !errors.Is(err, engine.ErrConflict) || !strings.Contains(err.Error(), "another engine uses them") {
		t.Errorf("got %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	db := open(t, path)
	if err := db.bolt.Update(func(tx *bolt.Tx) error { return tx.Bucket(formatBucket).Put(versionKey, []byte("2")) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), `format "2"`) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(path); errors.Is(err, engine.ErrConflict) {
		t.Error("the refused file was left locked")
	}
}

func TestBadKeysAreRefusedAlone(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "records.db"))
	for name, err := range map[string]error{
		"empty key":    db.Bucket("a").Put("", nil),
		"long key":     db.Bucket("a").Put(strings.Repeat("k", bolt.MaxKeySize+1), nil),
		"empty bucket": db.Bucket("").Put("k", nil),
		"delete":       db.Bucket("a").Delete(""),
	} {
		if !errors.Is(err, engine.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestClosedRecords(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "records.db"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Bucket("a").Put("k", nil); !errors.Is(err, errClosed) {
		t.Errorf("Put: got %v", err)
	}
	if _, err := db.Bucket("a").All(); err == nil {
		t.Error("All: got no error")
	}
}

// While a transaction is under way, all writes that come must end up in the next one.
func TestConcurrentWritesShareATransaction(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "records.db"))
	before := lastTransaction(t, db)
	const writers = 100
	synctest.Test(t, func(t *testing.T) {
		db.mu.Lock()
		db.busy = true
		db.mu.Unlock()
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				if err := db.Bucket("b").Put(fmt.Sprint(i), []byte("v")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		db.mu.Lock()
		db.busy = false
		db.committed.Broadcast()
		db.mu.Unlock()
		wg.Wait()
	})
	if n := lastTransaction(t, db) - before; n != 1 {
		t.Errorf("%d writes took %d transactions, want 1", writers, n)
	}
	if all, err := db.Bucket("b").All(); err != nil || len(all) != writers {
		t.Errorf("%d records, %v", len(all), err)
	}
}

// Writers, readers and Close at the same time: a write that was acknowledged is there afterwards.
func TestAcknowledgedWritesSurviveClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records.db")
	db := open(t, path)
	var acknowledged sync.Map
	var wg sync.WaitGroup
	first := make(chan struct{})
	var once sync.Once
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d", w, i)
				if err := db.Bucket("b").Put(key, []byte(key)); err != nil {
					if !errors.Is(err, errClosed) {
						t.Error(err)
					}
					return
				}
				acknowledged.Store(key, true)
				once.Do(func() { close(first) })
			}
		})
	}
	<-first
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	all, err := open(t, path).Bucket("b").All()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged.Range(func(key, _ any) bool {
		if string(all[key.(string)]) != key {
			t.Errorf("%s was acknowledged and is lost", key)
		}
		return true
	})
}

func lastTransaction(t *testing.T, db *DB) int {
	t.Helper()
	var id int
	if err := db.bolt.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func BenchmarkPut(b *testing.B) {
	value := make([]byte, 4<<10)
	for _, writers := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := open(b, filepath.Join(b.TempDir(), "records.db"))
			keys := make(chan int)
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for k := range keys {
						if err := db.Bucket("b").Put(fmt.Sprint(k%100), value); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := 0; b.Loop(); i++ {
				keys <- i
			}
			close(keys)
			wg.Wait()
		})
	}
}
