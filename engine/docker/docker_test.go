package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/docker/pkg/stdcopy"

	"stackrun.dev/stack/engine"
)

func TestReadLog(t *testing.T) {
	const at = "2026-01-02T03:04:05.000000006Z"
	var multiplexed bytes.Buffer
	for _, w := range []struct {
		to   stdcopy.StdType
		text string
	}{{stdcopy.Stdout, at + " one\n"}, {stdcopy.Stderr, at + " two"}, {stdcopy.Stdout, "no time\n"}, {stdcopy.Stdout, at + " \n"}} {
		if _, err := stdcopy.NewStdWriter(&multiplexed, w.to).Write([]byte(w.text)); err != nil {
			t.Fatal(err)
		}
	}
	when, _ := time.Parse(time.RFC3339Nano, at)
	for name, c := range map[string]struct {
		stream string
		want   []engine.LogEntry
	}{
		"multiplexed": {multiplexed.String(), []engine.LogEntry{
			{Time: when, Stream: "stdout", Line: []byte("one\n")},
			{Time: when, Stream: "stderr", Line: []byte("two")},
			{Stream: "stdout", Line: []byte("no time\n")},
			{Time: when, Stream: "stdout", Line: []byte("\n")},
		}},
		"terminal": {at + " one\r\n" + at + " half", []engine.LogEntry{
			{Time: when, Stream: "stdout", Line: []byte("one\r\n")},
			{Time: when, Stream: "stdout", Line: []byte("half")},
		}},
		"nothing": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []engine.LogEntry
			err := readLog(bufio.NewReader(strings.NewReader(c.stream)), func(e engine.LogEntry) bool {
				got = append(got, e)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %d entries, want %d: %v", len(got), len(c.want), got)
			}
			for i, want := range c.want {
				if !got[i].Time.Equal(want.Time) || got[i].Stream != want.Stream || !bytes.Equal(got[i].Line, want.Line) {
					t.Errorf("entry %d is %v %s %q, want %v %s %q", i, got[i].Time, got[i].Stream, got[i].Line, want.Time, want.Stream, want.Line)
				}
			}
		})
	}
}

func TestReadLogBrokenOff(t *testing.T) {
	var full bytes.Buffer
	if _, err := stdcopy.NewStdWriter(&full, stdcopy.Stdout).Write([]byte("2026-01-02T03:04:05Z a line\n")); err != nil {
		t.Fatal(err)
	}
	half := full.String()[:full.Len()-3]
	err := readLog(bufio.NewReader(strings.NewReader(half)), func(engine.LogEntry) bool { return true })
	if err == nil {
		t.Error("a stream that broke off in a frame was taken for whole")
	}
	raw := io.MultiReader(strings.NewReader("2026-01-02T03:04:05Z whole\r\n2026-01-02T03:04:06Z ha"), iotest.ErrReader(io.ErrUnexpectedEOF))
	var lines []string
	err = readLog(bufio.NewReader(raw), func(e engine.LogEntry) bool {
		lines = append(lines, string(e.Line))
		return true
	})
	if err == nil || !slices.Equal(lines, []string{"whole\r\n"}) {
		t.Errorf("of a terminal's stream that broke off in a line: %q, %v", lines, err)
	}
	huge := "\x01\x00\x00\x00\xff\xff\xff\xff"
	if err := readLog(bufio.NewReader(strings.NewReader(huge)), func(engine.LogEntry) bool { return true }); err == nil {
		t.Error("a frame of 4 GiB was accepted")
	}
}

// answering is an engine that answers every request in one way.
func answering(t *testing.T, status int, contentType, body string) *Engine {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	e, err := New("tcp://"+strings.TrimPrefix(server.URL, "http://"), WithAPIVersion("1.51"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestErrorsKeepTheirKinds(t *testing.T) {
	for _, c := range []struct {
		status int
		text   string
		want   error
	}{
		{404, "no such container: x", engine.ErrNotFound},
		{409, "in use", engine.ErrConflict},
		{400, "bad", engine.ErrInvalid},
		{403, "no", engine.ErrForbidden},
		{501, "not here", engine.ErrUnsupported},
		{503, "later", engine.ErrUnavailable},
		{500, "oops", engine.ErrInternal},
		{500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", engine.ErrConflict},
		{403, "Pool overlaps with other one on this address space", engine.ErrInvalid},
		{403, "error while removing network: network n has active endpoints", engine.ErrConflict},
		{404, `plugin "x" not found`, engine.ErrInvalid},
	} {
		body, _ := json.Marshal(map[string]string{"message": c.text})
		err := answering(t, c.status, "application/json", string(body)).ContainerStart(t.Context(), "x")
		if !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("status %d %q: got %v, want kind %v", c.status, c.text, err, c.want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	listener, err := net.Listen("unix", gone)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
	for what, socket := range map[string]string{"no socket": filepath.Join(t.TempDir(), "none"), "a dead one": gone} {
		e, err := New("unix://" + socket)
		if err != nil {
			t.Fatal(err)
		}
		for call, err := range map[string]error{
			"inspect": func() error { _, err := e.ContainerInspect(t.Context(), "x"); return err }(),
			"attach":  e.ContainerAttach(t.Context(), "x", engine.AttachOptions{}),
			"exec":    e.ExecStart(t.Context(), "x", false, engine.AttachOptions{}),
			"events":  func() error { _, errs := e.Events(t.Context(), events.ListOptions{}); return <-errs }(),
			"wait":    func() error { _, errs := e.ContainerWait(t.Context(), "x", ""); return <-errs }(),
		} {
			if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), socket) {
				t.Errorf("%s, %s: got %v, want ErrUnavailable with the address", what, call, err)
			}
		}
	}
}

// late is a cause of a context's end with words of its own.
type late struct{}

func (late) Error() string        { return "it took too long" }
func (late) Is(target error) bool { return target == context.DeadlineExceeded }

func TestACallThatTheCallerEndsIsNoFaultOfTheEngine(t *testing.T) {
	never := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-never:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(never) })
	e, err := New(strings.Replace(server.URL, "http://", "tcp://", 1), WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, late{})
	defer cancel()
	if err := e.ContainerStart(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || err.Error() != "it took too long" {
		t.Errorf("got %v, want the cause", err)
	}
}

func TestProgressEndsWithTheStreamsError(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   error
		text   string
	}{
		{`{"status":"a"}{"status":"b"}`, nil, ""},
		{`{"status":"a"}{"errorDetail":{"message":"it broke"},"error":"it broke"}`, engine.ErrInternal, "it broke"},
		{`{"errorDetail":{"code":404,"message":"no image"},"error":"no image"}`, engine.ErrNotFound, "no image"},
		{`{"error":"dial tcp: connection refused"}`, engine.ErrUnavailable, "dial tcp: connection refused"},
	} {
		e := answering(t, 200, "application/json", c.stream)
		var seen int
		err := e.ImagePull(t.Context(), "x", image.PullOptions{}, func(jsonmessage.JSONMessage) { seen++ })
		if !errors.Is(err, c.want) || err != nil && err.Error() != c.text {
			t.Errorf("%s: got %v, want %v %q", c.stream, err, c.want, c.text)
		}
		if want := strings.Count(c.stream, "status"); seen != want {
			t.Errorf("%s: %d messages were reported, want %d", c.stream, seen, want)
		}
	}
}

func TestFailureFilter(t *testing.T) {
	for _, c := range []struct {
		writes []string
		passed string
		kept   bool
	}{
		{[]string{"out\n", execFailure + "x"}, "out\n" + execFailure + "x", false},
		{[]string{execFailure + "x"}, "", true},
		{[]string{execFailure + "x", "more"}, execFailure + "xmore", false},
		{nil, "", false},
	} {
		var out bytes.Buffer
		f := &failureFilter{to: &out}
		for _, w := range c.writes {
			if n, err := f.Write([]byte(w)); n != len(w) || err != nil {
				t.Fatalf("Write(%q) = %d, %v", w, n, err)
			}
		}
		if out.String() != c.passed || (f.text != nil) != c.kept {
			t.Errorf("%q: passed on %q, kept %q", c.writes, out.String(), f.text)
		}
	}
}

func TestNilEndpointsAreFilled(t *testing.T) {
	e := answering(t, 201, "application/json", `{"Id":"1"}`)
	_, err := e.ContainerCreate(t.Context(), "x", engine.CreateConfig{Config: &container.Config{Image: "i"}, Networking: &network.NetworkingConfig{
		EndpointsConfig: map[string]*network.EndpointSettings{"n": nil},
	}})
	if err != nil {
		t.Error(err)
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	if _, err := New("nonsense"); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if _, err := New("unix:///x", WithTLS(os.DevNull, os.DevNull, os.DevNull)); err == nil {
		t.Error("empty certificates were accepted")
	}
}
