package files

import (
	"archive/tar"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// opened watches a file and tells whether somebody has opened it since.
func opened(t *testing.T, name string) func() bool {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, name, unix.IN_OPEN)
	must(t, err)
	return func() bool {
		n, err := unix.Read(fd, make([]byte, 4096))
		return err == nil && n > 0
	}
}

// What a container has put where a file was is not even opened: on a device that may do something.
func TestOnlyRegularFilesAreOpened(t *testing.T) {
	root, dir, _ := tree(t)
	name := filepath.Join(dir, "data/irregular")
	must(t, unix.Mkfifo(name, 0o666))
	data, err := Open(root, "/data")
	must(t, err)
	defer data.Close()
	p := place{data, "irregular"}
	var s syncer
	was := opened(t, name)
	for what, call := range map[string]func() error{
		"text": func() error {
			content := OpenText(root, "/data/irregular")
			text, err := io.ReadAll(content)
			if len(text) > 0 {
				t.Errorf("it has %q", text)
			}
			_ = content.Close()
			return err
		},
		"compare": func() error {
			_, err := digests(t.Context(), p, &engine.FileState{})
			return err
		},
		"pack":     func() error { _ = (&packer{tar: tar.NewWriter(io.Discard)}).addFile(p, &tar.Header{}); return nil },
		"in place": func() error { _ = s.inPlace(p, &tar.Header{}, root); return nil },
		"capability": func() error {
			_ = setCapability(p, &tar.Header{PAXRecords: map[string]string{"SCHILY.xattr." + capabilityXattr: "x"}})
			return nil
		},
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if was() {
			t.Errorf("%s: it was opened", what)
		}
	}
	if _, err := os.Lstat(name); err != nil {
		t.Error(err)
	}
}
