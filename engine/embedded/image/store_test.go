package image

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine/embedded/snapshot"
)

// open returns stores in a directory of the test's own.
func open(t testing.TB) (*Store, *snapshot.Store) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	sn, err := snapshot.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sn.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(sn), sn
}

// file is an entry of a test archive. Without a type it is a directory if its name ends with a slash, else a file.
type file struct {
	name, body, link string
	typ              byte
	mode             int64
	uid              int
	xattrs           map[string]string
}

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		hdr := &tar.Header{Name: f.name, Linkname: f.link, Typeflag: f.typ, Mode: f.mode, Uid: f.uid, ModTime: time.Unix(1700000000, 0)}
		if hdr.Typeflag == 0 && f.name[len(f.name)-1] == '/' {
			hdr.Typeflag = tar.TypeDir
		}
		if hdr.Typeflag == 0 {
			hdr.Typeflag = tar.TypeReg
		}
		if hdr.Mode == 0 {
			hdr.Mode = 0o755
		}
		if hdr.Typeflag == tar.TypeReg {
			hdr.Size = int64(len(f.body))
		}
		for k, v := range f.xattrs {
			if hdr.PAXRecords == nil {
				hdr.PAXRecords = map[string]string{}
			}
			hdr.PAXRecords["SCHILY.xattr."+k] = v
		}
		if err := w.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body[:hdr.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// small is the archive of a root file system with two files.
func small(t testing.TB) []byte {
	return tarOf(t, file{name: "etc/"}, file{name: "etc/hostname", body: "small\n", mode: 0o644}, file{name: "bin/"}, file{name: "bin/sh", body: "#!\n"})
}

func importSmall(t testing.TB, s *Store, ref string, changes ...string) string {
	t.Helper()
	id, err := s.Import(context.Background(), bytes.NewReader(small(t)), ref, image.ImportOptions{Changes: changes})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var (
	pushPlain = image.PushOptions{}
	pullPlain = image.PullOptions{}
	listAll   = image.ListOptions{}
)
