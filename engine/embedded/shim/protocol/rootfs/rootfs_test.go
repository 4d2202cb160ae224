package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

func dir(t *testing.T, base, name string, files ...string) string {
	t.Helper()
	d := filepath.Join(base, name)
	if err := os.MkdirAll(d, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(d, f), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func read(t *testing.T, root *os.File, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d/%s", root.Fd(), name))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestOpen(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	base := t.TempDir()
	low, high := dir(t, base, "low", "a", "b"), dir(t, base, `hi:gh,\`, "b")
	upper, work := dir(t, base, "upper"), dir(t, base, "work")
	var many []string
	for i := range 120 {
		many = append(many, dir(t, base, fmt.Sprint("layer", i, strings.Repeat("x", 200)), fmt.Sprint("f", i)))
	}
	for _, tc := range []struct {
		name     string
		fs       protocol.Rootfs
		file     string
		want     string
		writable bool
	}{
		{"overlay", protocol.Rootfs{Lower: []string{high, low}, Upper: upper, Work: work}, "b", `hi:gh,\`, true},
		{"lower layer", protocol.Rootfs{Lower: []string{high, low}, Upper: upper, Work: work}, "a", "low", true},
		{"many layers", protocol.Rootfs{Lower: many, Upper: upper, Work: work}, "f119", "layer119" + strings.Repeat("x", 200), true},
		{"read-only overlay", protocol.Rootfs{Lower: []string{high, low}}, "b", `hi:gh,\`, false},
		{"one layer", protocol.Rootfs{Lower: []string{low}}, "b", "low", false},
		{"directory", protocol.Rootfs{Upper: low}, "b", "low", true},
		{"read-only directory", protocol.Rootfs{Upper: low, ReadOnly: true}, "b", "low", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root, err := Open(tc.fs)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			if got := read(t, root, tc.file); got != tc.want {
				t.Errorf("got %q", got)
			}
			err = unix.Mkdirat(int(root.Fd()), "new", 0o755)
			if tc.writable == (err != nil) {
				t.Errorf("writing: %v", err)
			}
			_ = unix.Unlinkat(int(root.Fd()), "new", unix.AT_REMOVEDIR)
		})
	}
	if b, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(b), base) {
		t.Error("a mount is seen")
	}
}

func TestOpenFails(t *testing.T) {
	for _, fs := range []protocol.Rootfs{{}, {Upper: "/nothere"}, {Lower: []string{"/nothere", "/tmp"}}} {
		if _, err := Open(fs); err == nil || len(fs.Lower) > 0 && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: %v", fs, err)
		}
	}
}
