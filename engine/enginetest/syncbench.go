package enginetest

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"testing"

	"stackrun.dev/stack/engine"
)

// benchmarkSync syncs so many small files again and again, in directories of fifty.
func benchmarkSync(n int) func(b *testing.B, f *fixture) {
	return func(b *testing.B, f *fixture) {
		id := f.run()
		content := f.syncBytes(smallFiles(n))
		for b.Loop() {
			f.must(f.SyncFiles(f.ctx, id, bytes.NewReader(content), engine.SyncOptions{}))
		}
	}
}

// benchmarkCompare compares so many files that are as they should be.
func benchmarkCompare(n int) func(b *testing.B, f *fixture) {
	return func(b *testing.B, f *fixture) {
		if !f.syncsItself() {
			b.Skip("this engine hands all files out for a comparison")
		}
		id := f.run()
		files := smallFiles(n)
		for part := range slices.Chunk(files, 10_000) {
			f.must(f.SyncFiles(f.ctx, id, bytes.NewReader(f.syncBytes(part)), engine.SyncOptions{}))
		}
		all := states(files)
		for b.Loop() {
			if differ, err := f.CompareFiles(f.ctx, id, all); err != nil || len(differ) > 0 {
				f.Fatalf("%d differ, %v", len(differ), err)
			}
		}
	}
}

// smallFiles are files of 1 KiB.
func smallFiles(n int) []synced {
	text := string(bytes.Repeat([]byte("0123456789abcdef"), 64))
	files := make([]synced, n)
	for i := range files {
		files[i] = regular(fmt.Sprintf("/app/src/dir%d/file%d.txt", i/50, i), text)
	}
	return files
}

func (f *fixture) syncBytes(files []synced) []byte {
	f.Helper()
	content, err := io.ReadAll(f.syncTar(files))
	f.must(err)
	return content
}
