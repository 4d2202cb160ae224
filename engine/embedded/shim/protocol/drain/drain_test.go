package drain

import (
	"bytes"
	"os"
	"testing"
)

func pipe(t *testing.T) (p *Pipe, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	f, err := File(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(); w.Close() })
	return New(f), w
}

func TestCopyUntilClosed(t *testing.T) {
	p, w := pipe(t)
	want := bytes.Repeat([]byte("0123456789"), 50000)
	go func() {
		_, _ = w.Write(want)
		w.Close()
	}()
	var got []byte
	idle := 0
	p.Copy(func(b []byte) { got = append(got, b...) }, func() { idle++ })
	if !bytes.Equal(got, want) || idle == 0 {
		t.Errorf("got %d bytes of %d, idle %d times", len(got), len(want), idle)
	}
}

// TestEnd keeps the pipe open: what was written before End is read, then Copy returns.
func TestEnd(t *testing.T) {
	for range 200 {
		p, w := pipe(t)
		if _, err := w.WriteString("before"); err != nil {
			t.Fatal(err)
		}
		done := make(chan string)
		go func() {
			var got []byte
			p.Copy(func(b []byte) { got = append(got, b...) }, func() {})
			done <- string(got)
		}()
		p.End()
		if got := <-done; got != "before" {
			t.Fatalf("got %q", got)
		}
	}
}

// TestStuckHandler closes the file while the handler does not return, which must not wait for it.
func TestStuckHandler(t *testing.T) {
	p, w := pipe(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	go p.Copy(func([]byte) { close(entered); <-leave }, func() {})
	_, _ = w.WriteString("x")
	<-entered
	p.file.Close()
	close(leave)
}
