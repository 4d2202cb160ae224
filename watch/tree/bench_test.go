package tree

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// manyFiles makes many files in many directories.
func manyFiles(t testing.TB, dirs, files int) string {
	t.Helper()
	top := t.TempDir()
	for d := range dirs {
		dir := filepath.Join(top, fmt.Sprintf("module%d", d/50), fmt.Sprintf("package%d", d%50))
		must(t, os.MkdirAll(dir, 0o755))
		for f := range files {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("source_file_%d.go", f)), []byte(fmt.Sprintf("package p%d\n", f)), 0o644))
		}
	}
	time.Sleep(30 * time.Millisecond) // beyond clockStep
	return top
}

// BenchmarkLarge is about 100,000 files in 5,000 directories.
func BenchmarkLarge(b *testing.B) {
	top := manyFiles(b, 5000, 20)
	root := Root{Path: top, Skip: func(string, bool) bool { return false }}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			t := opened(b, root)
			b.StopTimer()
			must(b, t.Close())
			b.StartTimer()
		}
	})
	b.Run("read", func(b *testing.B) { // what was only seen at the start
		for b.Loop() {
			t := opened(b, root)
			waitUntilRead(b, t)
			must(b, t.Close())
		}
	})
	t := opened(b, root)
	waitUntilRead(b, t)
	b.Run("again", func(b *testing.B) { // with roots that are known
		for b.Loop() {
			must(b, t.Watch(b.Context(), []Root{root}))
		}
	})
	b.Run("lost", func(b *testing.B) { // a comparison of everything that finds nothing
		for b.Loop() {
			t.mu.Lock()
			p := newPass(t)
			p.everything()
			if changes := p.finish(); len(changes) > 0 {
				b.Fatal(len(changes), "changes")
			}
			t.mu.Unlock()
		}
	})
	b.Run("each", func(b *testing.B) {
		for b.Loop() {
			t.Each(top, func(string, Entry) bool { return true })
		}
	})
	b.Run("save", func(b *testing.B) { saves(b, t, top) })
}

// BenchmarkSave is from a save to its batch where there is little else.
func BenchmarkSave(b *testing.B) {
	top := manyFiles(b, 10, 20)
	saves(b, opened(b, Root{Path: top}), top)
}

func saves(b *testing.B, t *Tree, top string) {
	path := filepath.Join(top, "module0", "package3", "source_file_7.go")
	for i := 0; b.Loop(); i++ {
		put(b, path, fmt.Sprint("package p", i))
		<-t.Batches()
	}
}

// waitUntilRead waits until all content is known.
func waitUntilRead(t testing.TB, tr *Tree) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		unknown := 0
		tr.Each("/", func(_ string, e Entry) bool {
			if e.Kind == File && e.Digest == (Digest{}) {
				unknown++
			}
			return unknown == 0
		})
		if unknown == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("files are not read")
		}
	}
}
