package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"math/rand/v2"
)

func someStates() []FileState {
	return []FileState{
		{Path: "/app/a", Mode: 0o644, Size: 1 << 40, ModTime: time.Unix(1_700_000_000, 0), Digest: []byte{0, 1, 255}},
		{Path: "/app/a", Mode: fs.ModeDir | 0o755, ModTime: time.Time{}.Local()},
		{Path: "/app/über\n", Mode: fs.ModeSymlink | 0o777, Link: "../x y", ModTime: time.Unix(-5, 0)},
		{Path: "", ModTime: time.Unix(0, 0)},
		{Path: strings.Repeat("/n", 4000), Mode: fs.ModeSetuid | fs.ModeSticky | 0o711, Size: -1, ModTime: time.Unix(1, 0)},
	}
}

func written(t *testing.T, files []FileState) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := WriteFileStates(&out, files); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestFileStatesComeBack(t *testing.T) {
	files := someStates()
	got, err := ReadFileStates(iotest.OneByteReader(bytes.NewReader(written(t, files))), len(files), 1<<20)
	if err != nil || len(got) != len(files) {
		t.Fatalf("%d of %d, %v", len(got), len(files), err)
	}
	for i := range files {
		got[i].ModTime, files[i].ModTime = time.Unix(got[i].ModTime.Unix(), 0), time.Unix(files[i].ModTime.Unix(), 0)
		if !reflect.DeepEqual(got[i], files[i]) {
			t.Errorf("got %+v, want %+v", got[i], files[i])
		}
	}
}

func TestBrokenFileStates(t *testing.T) {
	files := someStates()
	data := written(t, files)
	for what, read := range map[string]func() ([]FileState, error){
		"too many": func() ([]FileState, error) { return ReadFileStates(bytes.NewReader(data), len(files)-1, 1<<20) },
		"much text": func() ([]FileState, error) {
			return ReadFileStates(bytes.NewReader(longPaths(t, 100)), 100, 99*len(longPath))
		},
		"cut":  func() ([]FileState, error) { return ReadFileStates(bytes.NewReader(data[:len(data)-1]), 10, 1<<20) },
		"text": func() ([]FileState, error) { return ReadFileStates(strings.NewReader(`{"path":"/app"}`), 10, 1<<20) },
		"a long text": func() ([]FileState, error) {
			return ReadFileStates(bytes.NewReader([]byte{0, 255, 255, 255, 255, 15}), 10, 1<<20)
		},
		"a long begin": func() ([]FileState, error) {
			return ReadFileStates(bytes.NewReader([]byte{1, 0, 0, 0, 0, 0, 0}), 10, 1<<20)
		},
		"who fails": func() ([]FileState, error) { return ReadFileStates(iotest.ErrReader(errors.New("gone")), 10, 1<<20) },
	} {
		if got, err := read(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, %v", what, got, err)
		}
	}
}

var longPath = strings.Repeat("n", 10_000)

// longPaths are the same long path again and again: little to send and much to keep.
func longPaths(t *testing.T, n int) []byte {
	t.Helper()
	data := written(t, slices.Repeat([]FileState{{Path: longPath}}, n))
	if len(data) > 4*len(longPath) {
		t.Fatalf("%d bytes are sent", len(data))
	}
	return data
}

// Whatever bytes there are, reading ends, and does not end the program.
func TestRandomFileStates(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("STACK_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	good := written(t, someStates())
	for range 20_000 {
		data := bytes.Clone(good[:random.IntN(100)])
		for range random.IntN(5) {
			if len(data) > 0 {
				data[random.IntN(len(data))] = byte(random.IntN(256))
			}
		}
		if _, err := ReadFileStates(bytes.NewReader(data), 100, 1<<20); err != nil && !errors.Is(err, ErrInvalid) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func BenchmarkFileStates(b *testing.B) {
	var files []FileState
	for i := range 100_000 {
		files = append(files, FileState{Path: fmt.Sprintf("/app/src/dir%d/file%d.ts", i/50, i), Mode: 0o644, Size: int64(i), ModTime: time.Unix(1_700_000_000, 0), Digest: make([]byte, 16)})
	}
	for b.Loop() {
		var out bytes.Buffer
		if err := WriteFileStates(&out, files); err != nil {
			b.Fatal(err)
		}
		if got, err := ReadFileStates(&out, len(files), 100<<20); err != nil || len(got) != len(files) {
			b.Fatal(len(got), err)
		}
	}
}
