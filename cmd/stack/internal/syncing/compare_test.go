package syncing

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// Whoever has given up does not wait until a large file has been read.
func TestReadingEndsWithItsContext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	at := time.Unix(1e9, 0)
	const size = 64 << 30 // of nothing: no space is used, but it takes long to read
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Skip(err)
	}
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	s := &Services{open: openFile}
	f := session.File{Source: name, Entry: tree.Entry{Kind: tree.File, Size: size, ModTime: at}}
	if got := s.digest(ctx, &f); got != nil || ctx.Err() == nil {
		t.Errorf("digest %x", got)
	}
}
