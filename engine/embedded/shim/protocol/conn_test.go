package protocol

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func pair(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, there, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = FileConn(there); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// TestMessages sends messages of all sizes, with and without files, from several goroutines.
func TestMessages(t *testing.T) {
	a, b := pair(t)
	const senders, each = 4, 50
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range each {
				body, _ := json.Marshal(strings.Repeat("x", i*i*100))
				var files []*os.File
				for range (s + i) % 3 {
					files = append(files, w)
				}
				if err := a.Send(Message{Number: uint64(s*each + i), Body: body}, files...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[uint64]bool{}
	for range senders * each {
		m, files, err := b.Receive()
		if err != nil {
			t.Fatal(err)
		}
		s, i := int(m.Number)/each, int(m.Number)%each
		var text string
		if err := json.Unmarshal(m.Body, &text); err != nil || len(text) != i*i*100 || len(files) != (s+i)%3 || seen[m.Number] {
			t.Fatalf("message %d: %d bytes, %d files, %v", m.Number, len(text), len(files), err)
		}
		seen[m.Number] = true
		CloseAll(files)
	}
	all.Wait()
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a descriptor of the pipe is still open: %v", err)
	}
}

func TestBadFrames(t *testing.T) {
	for name, raw := range map[string][]byte{
		"too long": binary.BigEndian.AppendUint32(nil, maxFrame+1),
		"cut":      append(binary.BigEndian.AppendUint32(nil, 100), `{"n":1`...),
		"no JSON":  append(binary.BigEndian.AppendUint32(nil, 4), "nope"...),
	} {
		a, b := pair(t)
		if _, err := a.socket.Write(raw); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if m, _, err := b.Receive(); err == nil {
			t.Errorf("%s: got %+v", name, m)
		}
	}
	a, b := pair(t)
	a.Close()
	if _, _, err := b.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
}

func TestByRole(t *testing.T) {
	file := func() *os.File {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := file(), file()
	m, err := ByRole([]FileRole{FileStdin, FileStdout}, []*os.File{a, b})
	if err != nil || m[FileStdin] != a || m[FileStdout] != b {
		t.Errorf("got %v, %v", m, err)
	}
	for _, roles := range [][]FileRole{{FileStdin}, {FileStdin, FileStdin}, nil} {
		a, b := file(), file()
		if _, err := ByRole(roles, []*os.File{a, b}); err == nil {
			t.Errorf("%v was accepted", roles)
		}
		if a.Close() == nil || b.Close() == nil {
			t.Errorf("%v: files are left open", roles)
		}
	}
}

// TestDeepDirectory listens where the path is longer than a socket's address may be.
func TestDeepDirectory(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	dir := GroupDir(deep, "project")
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time in place of a socket that nobody listens on any more
		l, err := dir.Listen()
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		c, err := dir.Dial()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		(<-accepted).Close()
		l.Close()
		if _, err := dir.Dial(); err == nil {
			t.Error("connected to nobody")
		}
	}
	if GroupDir(deep, "a") == GroupDir(deep, "b") {
		t.Error("two groups share a directory")
	}
	if err := os.WriteFile(dir.Group(), []byte("project"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := GroupDirs(deep)
	if err != nil || len(found) != 1 || found[0] != dir {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestErrorf(t *testing.T) {
	cause := errors.New("cause")
	if e := Errorf(Conflict, "cannot: %w", cause); e.Text != "cannot: cause" || e.Kind != Conflict || !bytes.Contains([]byte(e.Error()), []byte("cause")) {
		t.Errorf("got %+v", e)
	}
}
