package reader

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/logs"
)

var all = Options{Tail: -1, Stdout: true, Stderr: true}

// at returns the time of the i-th entry of a test's log.
func at(i int) time.Time { return time.Unix(1_700_000_000+int64(i), 0).UTC() }

// entry is a line of a log: number i, stream by the parity of i.
func entry(i int) string {
	return fmt.Sprintf(`{"log":"%d\n","stream":"%s","time":"%s"}`+"\n", i, []string{"stdout", "stderr"}[i%2], at(i).Format(time.RFC3339Nano))
}

func entries(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(entry(i))
	}
	return b.String()
}

// put writes the files of a log; the key is the suffix.
func put(t testing.TB, files map[string]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c-json.log")
	for suffix, text := range files {
		if err := os.WriteFile(path+suffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// numbers reads the log and returns its lines, joined by blanks.
func numbers(t testing.TB, path string, opts Options) string {
	t.Helper()
	var out []string
	for e, err := range Read(t.Context(), path, opts) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(string(e.Line)))
	}
	return strings.Join(out, " ")
}

func TestWhatIsRead(t *testing.T) {
	three := map[string]string{".2": entries(0, 3), ".1": entries(3, 6), "": entries(6, 9), ".new": "{}", ".01": entry(99), "x": entry(99)}
	for name, c := range map[string]struct {
		files map[string]string
		opts  Options
		want  string
	}{
		"no log":               {nil, all, ""},
		"empty log":            {map[string]string{"": ""}, all, ""},
		"all":                  {three, all, "0 1 2 3 4 5 6 7 8"},
		"no stream":            {three, Options{Tail: -1}, ""},
		"stdout":               {three, Options{Tail: -1, Stdout: true}, "0 2 4 6 8"},
		"tail 0":               {three, Options{Stdout: true, Stderr: true}, ""},
		"tail in one file":     {three, Options{Tail: 2, Stdout: true, Stderr: true}, "7 8"},
		"tail of a whole file": {three, Options{Tail: 3, Stdout: true, Stderr: true}, "6 7 8"},
		"tail over files":      {three, Options{Tail: 5, Stdout: true, Stderr: true}, "4 5 6 7 8"},
		"tail of too much":     {three, Options{Tail: 50, Stdout: true, Stderr: true}, "0 1 2 3 4 5 6 7 8"},
		"tail of a stream":     {three, Options{Tail: 2, Stderr: true}, "5 7"},
		"since":                {three, Options{Tail: -1, Stdout: true, Stderr: true, Since: at(7)}, "7 8"},
		"until":                {three, Options{Tail: -1, Stdout: true, Stderr: true, Until: at(2)}, "0 1 2"},
		"tail until":           {three, Options{Tail: 2, Stdout: true, Stderr: true, Until: at(4)}, "3 4"},
		"between":              {three, Options{Tail: -1, Stdout: true, Stderr: true, Since: at(4), Until: at(6)}, "4 5 6"},
		"gap in the numbers":   {map[string]string{".3": entries(0, 2), "": entries(2, 4)}, all, "0 1 2 3"},
		"torn end":             {map[string]string{"": entries(0, 2) + entry(2)[:20]}, all, "0 1"},
		"torn in between":      {map[string]string{"": entry(0) + entry(1)[:20] + "\n" + entry(2)}, all, "0 2"},
		"torn and continued":   {map[string]string{"": entry(0) + entry(1)[:20] + entry(2) + entry(3)}, all, "0 3"},
		"torn lines in a tail": {map[string]string{"": entry(0) + entry(1)[:20] + "\n" + entry(2) + "\x00\x00\n"}, Options{Tail: 2, Stdout: true, Stderr: true}, "0 2"},
		"no newline at end":    {map[string]string{"": strings.TrimSpace(entries(0, 2))}, all, "0 1"},
		"damaged long line":    {map[string]string{"": entry(0) + strings.Repeat("x", 3*maxLine) + "\n" + entry(2)}, all, "0 2"},
		"tail and damage":      {map[string]string{"": entry(0) + strings.Repeat("x", 3*maxLine) + "\n" + entry(2)}, Options{Tail: 2, Stdout: true, Stderr: true}, "0 2"},
		"other layouts":        {map[string]string{"": `{"stream":"stdout", "log":"5\n","attrs":{"a":"b"},"time":"2024-01-01T00:00:00+02:00"}` + "\n"}, all, "5"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := numbers(t, put(t, c.files), c.opts); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestEntriesAreComplete(t *testing.T) {
	path := put(t, map[string]string{"": `{"log":"a\"\\\u00e9\ud83d\ude00\n","stream":"stderr","time":"2024-05-06T07:08:09.123456789+01:00"}` + "\n"})
	for e, err := range Read(t.Context(), path, all) {
		want := engine.LogEntry{Time: time.Date(2024, 5, 6, 6, 8, 9, 123456789, time.UTC), Stream: "stderr", Line: []byte("a\"\\é😀\n")}
		if err != nil || !e.Time.Equal(want.Time) || e.Time.Location() != time.UTC || e.Stream != want.Stream || string(e.Line) != string(want.Line) {
			t.Errorf("got %+v, %v", e, err)
		}
	}
}

func TestTailReadsOnlyTheEnd(t *testing.T) {
	path := put(t, map[string]string{"": entries(0, 100_000)})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	if _, missing, err := tailOffset(f, st.Size(), 10, func([]byte) bool { seen++; return true }); missing != 0 || err != nil || seen != 10 {
		t.Errorf("%d lines looked at, %d missing, %v", seen, missing, err)
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	path := put(t, map[string]string{".real": entries(0, 2)})
	if err := os.Symlink(path+".real", path); err != nil {
		t.Fatal(err)
	}
	for _, err := range Read(t.Context(), path, all) {
		if err == nil {
			t.Error("a symbolic link was read as a log")
		}
	}
}

func TestCallerMayStop(t *testing.T) {
	path := put(t, map[string]string{"": entries(0, 9)})
	n := 0
	for range Read(t.Context(), path, all) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("got %d entries", n)
	}
}

func TestCancelledContextEndsTheSequence(t *testing.T) {
	path := put(t, map[string]string{"": entries(0, 3)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts := all
	opts.Follow = true
	n := 0
	var last error
	for _, err := range Read(ctx, path, opts) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n != 4 {
		t.Errorf("got %d entries and %v", n, last)
	}
}

// pull reads a followed log entry by entry.
func pull(t testing.TB, path string, opts Options) func() string {
	t.Helper()
	opts.Follow = true
	next, stop := iter.Pull2(Read(t.Context(), path, opts))
	t.Cleanup(stop)
	return func() string {
		e, err, ok := next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return "end"
		}
		return strings.TrimSpace(string(e.Line))
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantNext(t testing.TB, next func() string, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(); got != w {
			t.Fatalf("got %q, want %q", got, w)
		}
	}
}

func TestFollow(t *testing.T) {
	path := put(t, map[string]string{"": entries(0, 3)})
	done := make(chan struct{})
	next := pull(t, path, Options{Tail: 1, Stdout: true, Stderr: true, Done: done})
	wantNext(t, next, "2")
	appendTo(t, path, entry(3))
	wantNext(t, next, "3")
	appendTo(t, path, entry(4)[:10])
	appendTo(t, path, entry(4)[10:]+entry(5))
	wantNext(t, next, "4", "5")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path+".1", entry(6))
	appendTo(t, path, entry(7))
	wantNext(t, next, "6", "7")
	for i := 2; i > 0; i-- { // two rotations before the reader looks again
		for j := i + 1; j > 0; j-- {
			_ = os.Rename(name(path, j-1), name(path, j))
		}
		appendTo(t, path, entry(10-i))
	}
	wantNext(t, next, "8", "9")
	appendTo(t, path, entry(10))
	wantNext(t, next, "10")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, entry(1))
	wantNext(t, next, "1")
	appendTo(t, path, entry(2))
	close(done)
	wantNext(t, next, "2", "end")
}

func TestFollowWaitsForTheLog(t *testing.T) {
	path := put(t, nil)
	done := make(chan struct{})
	next := pull(t, path, Options{Tail: -1, Stdout: true, Stderr: true, Done: done})
	first := make(chan string)
	go func() { first <- next() }()
	appendTo(t, path, entry(0))
	if got := <-first; got != "0" {
		t.Fatalf("got %q", got)
	}
	close(done)
	wantNext(t, next, "end")
}

func TestFollowEnds(t *testing.T) {
	t.Run("with the directory", func(t *testing.T) {
		path := put(t, map[string]string{"": entry(0)})
		next := pull(t, path, all)
		wantNext(t, next, "0")
		if err := os.RemoveAll(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		wantNext(t, next, "end")
	})
	t.Run("when until has passed", func(t *testing.T) {
		path := put(t, map[string]string{"": entry(0)})
		opts := all
		opts.Until = time.Now().Add(20 * time.Millisecond)
		wantNext(t, pull(t, path, opts), "0", "end")
	})
	t.Run("when it had ended before", func(t *testing.T) {
		path := put(t, map[string]string{"": entry(0)})
		opts := all
		done := make(chan struct{})
		close(done)
		opts.Done = done
		wantNext(t, pull(t, path, opts), "0", "end")
	})
}

func TestNobodyFollowsAnyMore(t *testing.T) {
	dir := t.TempDir()
	var watches []*watch
	for range 3 {
		w, err := shared.subscribe(dir)
		if err != nil {
			t.Fatal(err)
		}
		watches = append(watches, w)
	}
	appendTo(t, filepath.Join(dir, "x"), "x")
	for _, w := range watches {
		<-w.C
		if err := shared.unsubscribe(w); err != nil {
			t.Fatal(err)
		}
	}
	if shared.file != nil {
		t.Error("the inotify instance is left")
	}
	if _, err := shared.subscribe(filepath.Join(dir, "none")); err == nil || shared.file != nil {
		t.Errorf("got %v, file %v", err, shared.file)
	}
}

// said is what a container writes in the property test.
type said struct {
	stream string
	text   []byte
}

// randomSpeech returns random pieces of text, with lines from empty to several times the size of an entry.
func randomSpeech(r *rand.Rand) []said {
	alphabet := []string{"a", "\n", "ü", "\"", "\\", "<", "\x00", "😀", strings.Repeat("long", 3000), "\r\n", "\t", "\u2028"}
	var out []said
	for range 200 {
		var b strings.Builder
		for range r.IntN(30) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		text := b.String()
		if r.IntN(2) == 0 {
			text += "\n"
		}
		out = append(out, said{[]string{"stdout", "stderr"}[r.IntN(2)], []byte(text)})
	}
	return out
}

// What was written is what is read, whatever the pieces, the flushes and the rotations, at once or followed.
func TestWhatIsWrittenIsRead(t *testing.T) {
	for range 10 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			path := filepath.Join(t.TempDir(), "log")
			w, err := logs.NewWriter(logs.Config{Path: path, MaxSize: int64(10_000 + r.IntN(200_000)), MaxFile: 1000})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			followed := make(chan map[string]string)
			opts := all
			opts.Follow, opts.Done = true, done
			go func() { followed <- collect(t, path, opts) }()

			want := map[string]string{}
			for _, s := range randomSpeech(r) {
				want[s.stream] += string(s.text)
			}
			r = rand.New(rand.NewPCG(seed, 0))
			r.IntN(200_000)
			speak(t, w, r)
			close(done)
			for how, got := range map[string]map[string]string{"at once": collect(t, path, all), "followed": <-followed} {
				for stream := range want {
					if got[stream] != want[stream] {
						t.Errorf("%s, %s: got %d bytes, want %d", how, stream, len(got[stream]), len(want[stream]))
					}
				}
			}
		})
	}
}

// speak writes the random speech of r to the log and closes it.
func speak(t *testing.T, w *logs.Writer, r *rand.Rand) {
	speech := randomSpeech(r)
	out := map[string]interface{ Write([]byte) (int, error) }{"stdout": w.Stream("stdout"), "stderr": w.Stream("stderr")}
	for _, s := range speech {
		for len(s.text) > 0 {
			n := 1 + r.IntN(len(s.text))
			if _, err := out[s.stream].Write(s.text[:n]); err != nil {
				t.Error(err)
			}
			s.text = s.text[n:]
		}
		if r.IntN(3) == 0 {
			if err := w.Flush(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

// collect reads a log and joins what each stream said.
func collect(t *testing.T, path string, opts Options) map[string]string {
	got := map[string]string{}
	last := time.Time{}
	for e, err := range Read(t.Context(), path, opts) {
		if err != nil {
			t.Error(err)
			return got
		}
		if len(e.Line) > logs.PartialSize+1 || e.Time.Before(last) {
			t.Errorf("entry of %d bytes at %v after %v", len(e.Line), e.Time, last)
		}
		last = e.Time
		got[e.Stream] += string(e.Line)
	}
	return got
}
