package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newTestWriter makes a writer whose clock stands still.
func newTestWriter(t testing.TB, cfg Config) *Writer {
	t.Helper()
	w, err := NewWriter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.now = func() time.Time { return time.Date(2024, 5, 6, 7, 8, 9, 120_000_000, time.FixedZone("", 3600)) }
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if n, err := io.WriteString(w, s); n != len(s) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFormatIsDockers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c-json.log")
	w := newTestWriter(t, Config{Path: path})
	write(t, w.Stream("stdout"), "a\tb\"\\<&>\r\n\x00\xff\xc3ü\u2028\n")
	write(t, w.Stream("stderr"), "unfinished")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := `{"log":"a\u0009b\"\\\u003c\u0026\u003e\r\n","stream":"stdout","time":"2024-05-06T06:08:09.12Z"}` + "\n" +
		`{"log":"\u0000\ufffd\ufffdü\u2028\n","stream":"stdout","time":"2024-05-06T06:08:09.12Z"}` + "\n" +
		`{"log":"unfinished","stream":"stderr","time":"2024-05-06T06:08:09.12Z"}` + "\n"
	if got := content(t, path); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// lines returns the log fields of a file.
func lines(t testing.TB, path string) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(content(t, path)) {
		var v struct{ Log string }
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		out = append(out, v.Log)
	}
	return out
}

func TestLinesAreSplit(t *testing.T) {
	long := strings.Repeat("x", PartialSize)
	cases := map[string]struct{ writes, want []string }{
		"one":                   {[]string{"a\n"}, []string{"a\n"}},
		"in pieces":             {[]string{"a", "b", "c\nd", "\n"}, []string{"abc\n", "d\n"}},
		"empty lines":           {[]string{"\n\n", "\n"}, []string{"\n", "\n", "\n"}},
		"below the limit":       {[]string{long[1:] + "\n"}, []string{long[1:] + "\n"}},
		"at the limit":          {[]string{long + "\n"}, []string{long, "\n"}},
		"twice the limit":       {[]string{long + long + "y\n"}, []string{long, long, "y\n"}},
		"limit in pieces":       {[]string{long[2:], "ab", "c\n"}, []string{long[2:] + "ab", "c\n"}},
		"characters stay whole": {[]string{long[1:] + "ü\n"}, []string{long[1:], "ü\n"}},
		"whole in pieces":       {[]string{long[1:], "ü", "\n"}, []string{long[1:], "ü\n"}},
		"never ended":           {[]string{"a\nb"}, []string{"a\n", "b"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			w := newTestWriter(t, Config{Path: path})
			s := w.Stream("stdout")
			for _, p := range c.writes {
				write(t, s, p)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := lines(t, path); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
				t.Errorf("got %.200q, want %.200q", got, c.want)
			}
			if _, err := s.Write([]byte("x")); err == nil {
				t.Error("a closed stream takes more")
			}
		})
	}
}

func TestNothingReachesTheFileBeforeFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := newTestWriter(t, Config{Path: path})
	s := w.Stream("stdout")
	write(t, s, "a\nb\nunfinished")
	if got := content(t, path); got != "" {
		t.Errorf("got %q before Flush", got)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != 2 {
		t.Errorf("got %q after Flush, want two lines", got)
	}
	if w.buf != nil {
		t.Error("an idle writer holds a buffer")
	}
	write(t, s, strings.Repeat("much\n", flushSize/5))
	if got := content(t, path); len(got) < flushSize {
		t.Errorf("%d bytes were held back", flushSize-len(got))
	}
}

func TestRotation(t *testing.T) {
	entry := len(`{"log":"000\n","stream":"stdout","time":"2024-05-06T06:08:09.12Z"}` + "\n")
	for _, c := range []struct {
		files, perFile, entries int
		want                    map[string][2]int // first and last entry per suffix
	}{
		{3, 2, 4, map[string][2]int{"": {2, 3}, ".1": {0, 1}}},
		{3, 2, 5, map[string][2]int{"": {4, 4}, ".1": {2, 3}, ".2": {0, 1}}},
		{3, 2, 9, map[string][2]int{"": {8, 8}, ".1": {6, 7}, ".2": {4, 5}}},
		{1, 3, 7, map[string][2]int{"": {6, 6}}},
		{0, 3, 7, map[string][2]int{"": {6, 6}}},
	} {
		for _, everyEntry := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d files of %d, %d entries, flush %v", c.files, c.perFile, c.entries, everyEntry), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "log")
				w := newTestWriter(t, Config{Path: path, MaxFile: c.files, MaxSize: int64(c.perFile * entry)})
				s := w.Stream("stdout")
				for i := range c.entries {
					write(t, s, fmt.Sprintf("%03d\n", i))
					if everyEntry {
						if err := w.Flush(); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				for suffix, fromTo := range c.want {
					got := lines(t, path+suffix)
					first, last := fmt.Sprintf("%03d\n", fromTo[0]), fmt.Sprintf("%03d\n", fromTo[1])
					if len(got) != fromTo[1]-fromTo[0]+1 || got[0] != first || got[len(got)-1] != last {
						t.Errorf("%q: got %q, want %v", suffix, got, fromTo)
					}
				}
				names, err := os.ReadDir(filepath.Dir(path))
				if err != nil || len(names) != len(c.want) {
					t.Errorf("got the files %v, %v", names, err)
				}
			})
		}
	}
}

func TestEntryLargerThanTheLimitHasAFileOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	w := newTestWriter(t, Config{Path: path, MaxFile: 2, MaxSize: 10})
	write(t, w.Stream("stdout"), "first\nsecond\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path+".1"); len(got) != 1 || got[0] != "first\n" {
		t.Errorf("got %q", got)
	}
}

// A writer that was killed in the middle of a write has left half a line; the next one does not continue it.
func TestTornLineIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(`{"log":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	w := newTestWriter(t, Config{Path: path})
	write(t, w.Stream("stdout"), "a\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); !strings.HasPrefix(got, `{"log":"to`+"\n"+`{"log":"a\n"`) {
		t.Errorf("got %q", got)
	}
}

func TestFilesOfALargerConfigurationAreDropped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	for _, suffix := range []string{"", ".1", ".2", ".3"} {
		if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newTestWriter(t, Config{Path: path, MaxFile: 2})
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 2 {
		t.Errorf("got %v, %v", names, err)
	}
}

// When no new file can be made the writer goes on with the one that it has.
func TestFailedRotationLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	w := newTestWriter(t, Config{Path: path, MaxFile: 2, MaxSize: 1})
	s := w.Stream("stdout")
	write(t, s, "a\n")
	if err := os.Mkdir(path+".new", 0o700); err != nil { // in the way of the new file
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("b\n")); err == nil {
		t.Error("the failure is not reported")
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	write(t, s, "c\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got := append(lines(t, path+".1"), lines(t, path)...); fmt.Sprint(got) != fmt.Sprint([]string{"a\n", "b\n", "c\n"}) {
		t.Errorf("got %q", got)
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "plain\n", "\x00\x1f\x7f<>&\"\\", "\xff\xfe", "ü\u2028\u2029\U0001F600", "\xf0\x9f\x98"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		got := append(appendEscaped([]byte{'"'}, s), '"')
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		var runes []rune
		for _, r := range string(s) { // yields U+FFFD for every bad byte
			runes = append(runes, r)
		}
		if back != string(runes) {
			t.Errorf("got %q, want %q", back, string(runes))
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	for _, size := range []int{80, 1000} {
		b.Run(fmt.Sprintf("lines of %d", size), func(b *testing.B) {
			w := newTestWriter(b, Config{Path: filepath.Join(b.TempDir(), "log"), MaxSize: 64 << 20, MaxFile: 1})
			s := w.Stream("stdout")
			line := strings.Repeat("x", size-1) + "\n"
			pipe := []byte(strings.Repeat(line, (64<<10)/size))
			b.SetBytes(int64(len(pipe)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Write(pipe); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
