package build

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"stackrun.dev/stack/engine"
)

type entry struct {
	name, body, link string
	typ              byte
}

func tarOf(t *testing.T, entries ...entry) io.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		hdr := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.typ, Mode: 0o644, Size: int64(len(e.body)), Uid: 1000}
		if hdr.Typeflag == 0 {
			hdr.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(hdr); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, e.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}

func TestReadContext(t *testing.T) {
	large := strings.Repeat("large ", inMemory/4)
	c, err := readContext(tarOf(t,
		entry{name: "./", typ: tar.TypeDir},
		entry{name: "b/y", body: "y"},
		entry{name: "b-", body: "after b/ by bytes, before it as a path"},
		entry{name: "../../outside", body: "outside"},
		entry{name: "/abs", body: "abs"},
		entry{name: "large", body: large},
		entry{name: "after", body: "after"},
		entry{name: "link", link: "../../etc/passwd", typ: tar.TypeSymlink},
		entry{name: "hard", link: "b/y", typ: tar.TypeLink},
		entry{name: "device", typ: tar.TypeBlock},
		entry{name: "b/y", body: "newer"},
		entry{name: "b/", typ: tar.TypeDir},
	), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	var names []string
	err = c.Walk(context.Background(), "/", func(name string, d fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	want := []string{"abs", "after", "b", "b/y", "b-", "hard", "large", "link", "outside"}
	if err != nil || !reflect.DeepEqual(names, want) {
		t.Errorf("the entries are %v, want %v; %v", names, want, err)
	}
	for name, want := range map[string]string{"b/y": "newer", "hard": "y", "large": large, "after": "after", "outside": "outside", "abs": "abs"} {
		r, err := c.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%s has %d bytes, want %d; %v", name, len(got), len(want), err)
		}
	}
	if f := c.lookup("b/y"); f.stat.Uid != 0 {
		t.Errorf("a file belongs to %d", f.stat.Uid)
	}
	for _, name := range []string{"b", "nowhere", "b/y/z"} {
		if _, err := c.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %s: %v", name, err)
		}
	}
}

func TestReadContextRefusesNonsense(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"a file below a file":     tarOf(t, entry{name: "f", body: "f"}, entry{name: "f/g", body: "g"}),
		"a link to nothing":       tarOf(t, entry{name: "h", link: "nowhere", typ: tar.TypeLink}),
		"a link out of the files": tarOf(t, entry{name: "h", link: "/etc/passwd", typ: tar.TypeLink}),
		"no archive":              strings.NewReader(strings.Repeat("no archive ", 100)),
	} {
		if _, err := readContext(in, t.TempDir()); !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "cannot read the build context: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheSameTimeAndSizeIsNotTheSameFile(t *testing.T) {
	stamps := map[int64]bool{}
	for _, body := range []string{"1", "2", "1"} {
		c, err := readContext(tarOf(t, entry{name: "f", body: body}), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		stamps[c.lookup("f").stat.ModTime] = true
	}
	if len(stamps) != 2 {
		t.Errorf("two contents have %d time stamps", len(stamps))
	}
}
