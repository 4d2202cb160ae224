package fsnotify

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"stackrun.dev/stack/watch"
)

// tree makes 10,000 directories below the one it returns.
func tree(b *testing.B) (dirs []string) {
	b.Helper()
	base := b.TempDir()
	for i := range 100 {
		for j := range 99 {
			dir := filepath.Join(base, fmt.Sprint(i), fmt.Sprint(j))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				b.Fatal(err)
			}
			dirs = append(dirs, dir)
		}
		dirs = append(dirs, filepath.Join(base, fmt.Sprint(i)))
	}
	return dirs
}

func addAll(b *testing.B, s watch.Source, dirs []string) {
	b.Helper()
	for _, dir := range dirs {
		if err := s.Add(dir); err != nil {
			b.Fatal(err)
		}
	}
}

// What it costs to watch 10,000 directories, in time and in memory of this process.
func BenchmarkAdd(b *testing.B) {
	dirs := tree(b)
	for b.Loop() {
		s, err := New()
		if err != nil {
			b.Fatal(err)
		}
		before := heap()
		addAll(b, s, dirs)
		b.ReportMetric(float64(heap()-before)/float64(len(dirs)), "B/dir")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// What it costs to add all of them again, as after lost events.
func BenchmarkAddAgain(b *testing.B) {
	dirs := tree(b)
	s, err := New()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	addAll(b, s, dirs)
	for b.Loop() {
		addAll(b, s, dirs)
	}
}

// How long it takes from a change until it is told.
func BenchmarkEvent(b *testing.B) {
	s, err := New()
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	dir := b.TempDir()
	addAll(b, s, []string{dir})
	for i := 0; b.Loop(); i++ {
		name := fmt.Sprint(i)
		if err := os.Symlink("x", filepath.Join(dir, name)); err != nil {
			b.Fatal(err)
		}
		for e := range s.Events() {
			if e.Name == name {
				break
			}
		}
	}
}

// How many events are taken while a burst of 10,000 files is written and somebody reads.
func BenchmarkBurst(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s, err := New()
		if err != nil {
			b.Fatal(err)
		}
		addAll(b, s, []string{dir})
		lost := 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for e := range s.Events() {
				if e.Lost {
					lost++
				}
				if e.Name == "9999" {
					return
				}
			}
		}()
		for i := range 10000 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("1"), 0o600); err != nil {
				b.Fatal(err)
			}
		}
		<-ended
		b.ReportMetric(float64(lost), "lost/burst")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
