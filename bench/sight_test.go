package bench

import (
	"bytes"
	endian "encoding/binary"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sight sees files of a container in the moment in which they are there. Nothing of it runs in the container and nothing polls:
// the kernel shows the container's root below /proc/PID/root, and tells through inotify what happens in its directories to whomever
// watches them from there, since marks belong to inodes and not to mounts. The directories must not be the image's: overlay gives
// those another inode when something is written there for the first time.
type sight struct {
	file   *os.File
	root   string           // the container's root as seen from here
	dirs   map[int32]string // absolute in the container, by watch descriptor
	events chan []string    // paths at which something is now; nil: events were lost
}

// look begins to watch the directories and those below them.
func look(t testing.TB, root string, dirs ...string) *sight {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	s := &sight{file: os.NewFile(uintptr(fd), "inotify"), root: root, dirs: map[int32]string{}, events: make(chan []string, 1<<16)}
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			wd, err := unix.InotifyAddWatch(fd, path, unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO|unix.IN_ONLYDIR)
			s.dirs[int32(wd)] = path[len(root):]
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	go s.read()
	return s
}

func (s *sight) close() { s.file.Close() }

// read empties the kernel's queue, which is short.
func (s *sight) read() {
	defer close(s.events)
	buf := make([]byte, 1<<20)
	for {
		n, err := s.file.Read(buf)
		if err != nil {
			return
		}
		var paths []string
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := int32(endian.NativeEndian.Uint32(b)), endian.NativeEndian.Uint32(b[4:])
			size := unix.SizeofInotifyEvent + endian.NativeEndian.Uint32(b[12:])
			if mask&unix.IN_Q_OVERFLOW != 0 {
				s.events <- nil
			}
			name := bytes.TrimRight(b[unix.SizeofInotifyEvent:size], "\x00")
			paths = append(paths, filepath.Join(s.dirs[wd], string(name)))
			b = b[size:]
		}
		s.events <- paths
	}
}

// patience is for what should never happen.
const patience = time.Minute

// await returns when each path has its content.
func (s *sight) await(t testing.TB, want map[string]string) {
	t.Helper()
	left, late := maps.Clone(want), time.After(patience)
	for len(left) > 0 {
		select {
		case paths, ok := <-s.events:
			if !ok {
				t.Fatal("the container cannot be seen any more")
			}
			if paths == nil {
				paths = slices.Collect(maps.Keys(left))
			}
			for _, path := range paths {
				if text, wanted := left[path]; wanted && s.has(path, text) {
					delete(left, path)
				}
			}
		case <-late:
			t.Fatalf("after %v %d of %d files are not as they should be, %q for example", patience, len(left), len(want), slices.Sorted(maps.Keys(left))[0])
		}
	}
}

func (s *sight) has(path, text string) bool {
	data, err := os.ReadFile(filepath.Join(s.root, path))
	return err == nil && string(data) == text
}
