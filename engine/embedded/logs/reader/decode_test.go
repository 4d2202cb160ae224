package reader

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/engine"
)

// The fast decoder may leave a line to the other one, but never disagrees with it.
func FuzzDecode(f *testing.F) {
	const stamp = `2024-05-06T07:08:09.1Z`
	for _, s := range []string{
		entry(0), `{"log":"\u00e9\ud83d\ude00\ud800\n","stream":"stderr","time":"` + stamp + `"}`,
		`{"log":"a","stream":"stdout","time":"` + stamp + `"}`, `{"log":"\\","stream":"stdout","time":"` + stamp + `"}`,
		`{"log":"a` + "\xff" + `","stream":"stdout","time":"` + stamp + `"}`, `{"log":"\x","stream":"stdout","time":"` + stamp + `"}`,
		`{"log":"","stream":"stdout","time":"2024-05-06T07:08:09,1Z"}`, `{"log":"\u+123","stream":"stdout","time":"` + stamp + `"}`,
		`{"log":"a","stream":"stdout","time":"` + stamp + `","time":"2025-05-06T07:08:09Z"}`, `{"log":null}`, `null`, `{`,
	} {
		f.Add([]byte(strings.TrimSpace(s)))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		fast, ok := decodePlain(line)
		if !ok {
			return
		}
		slow, ok := decodeJSON(line)
		if !ok || !fast.Time.Equal(slow.Time) || fast.Stream != slow.Stream || !bytes.Equal(fast.Line, slow.Line) {
			t.Errorf("%q: fast %+v, slow %+v, %v", line, fast, slow, ok)
		}
	})
}

// Whatever is in a file, reading it ends, and the tail of it is the end of the whole.
func FuzzRead(f *testing.F) {
	f.Add([]byte(entries(0, 3)), 2)
	f.Add([]byte(entry(0)+entry(1)[:10]+"\n\n\x00"+entry(2)), 2)
	f.Add([]byte("\n"), 1)
	f.Add([]byte(""), 1)
	f.Fuzz(func(t *testing.T, content []byte, tail int) {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		read := func(tail int) []string {
			var out []string
			for e, err := range Read(t.Context(), path, Options{Tail: tail, Stdout: true, Stderr: true}) {
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, fmt.Sprint(e))
			}
			return out
		}
		want := read(-1)
		if tail >= 0 && tail < len(want) {
			want = want[len(want)-tail:]
		}
		if got := read(tail); strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("tail %d: got %q, want %q", tail, got, want)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	line := `{"log":"` + strings.Repeat("some text ", 8) + `\n","stream":"stdout","time":"2024-05-06T07:08:09.123456789Z"}` + "\n"
	path := put(b, map[string]string{"": strings.Repeat(line, 10_000)})
	for name, tail := range map[string]int{"all": -1, "tail 100": 100} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			if tail < 0 {
				b.SetBytes(int64(len(line)) * 10_000)
			}
			for b.Loop() {
				var last engine.LogEntry
				for e, err := range Read(b.Context(), path, Options{Tail: tail, Stdout: true, Stderr: true}) {
					if err != nil {
						b.Fatal(err)
					}
					last = e
				}
				if len(last.Line) != 81 {
					b.Fatalf("got %q", last.Line)
				}
			}
		})
	}
}
