package logs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// flushSize is the number of encoded bytes that are handed to the kernel without waiting for Flush.
const flushSize = 64 << 10

// buffers are lent to the writers that have something to write, so that a container that says nothing costs nothing.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, flushSize+2*PartialSize); return &b }}

// Writer appends to one container's log. Its methods may be called from several goroutines.
//
// What is written is encoded at once and reaches the file with the next Flush, or when enough has gathered. The file
// is not synced: a log survives the death of its writer, and may lose its end with the machine.
type Writer struct {
	cfg Config
	now func() time.Time

	mu      sync.Mutex
	file    *os.File
	size    int64   // bytes in the file
	torn    bool    // the file does not end with a newline
	buf     *[]byte // encoded entries that are not in the file yet; nil if there are none
	streams []*stream
}

// NewWriter opens the log and creates it (mode 0600) if it is not there. Its directory must exist.
func NewWriter(cfg Config) (*Writer, error) {
	cfg.MaxFile = max(cfg.MaxFile, 1)
	w := &Writer{cfg: cfg, now: time.Now}
	if err := w.open(); err != nil {
		return nil, fmt.Errorf("cannot open the log %s: %w", cfg.Path, err)
	}
	w.dropSurplus()
	return w, nil
}

// open opens the current file and finds out how it ends: a writer that was killed may have left half a line.
func (w *Writer) open() error {
	f, err := os.OpenFile(w.cfg.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	w.file, w.size, w.torn = f, st.Size(), false
	if w.size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], w.size-1); err != nil {
			return errors.Join(err, f.Close())
		}
		w.torn = last[0] != '\n'
	}
	return nil
}

// Stream returns what the container's stream of that name ("stdout", "stderr") is written to. It splits what it gets
// into lines, and lines of PartialSize bytes and more into several entries. Closing it writes the rest of a line that
// was never ended. A write error means that entries were lost; later writes are tried again.
func (w *Writer) Stream(name string) io.WriteCloser {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &stream{w: w, name: name}
	w.streams = append(w.streams, s)
	return s
}

// Flush hands what is buffered to the kernel. It is called when the container's pipes are drained.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

// Close closes the streams and the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return nil
	}
	var errs []error
	for _, s := range w.streams {
		errs = append(errs, s.end())
	}
	errs = append(errs, w.flush(), w.file.Close())
	w.file = nil
	return errors.Join(errs...)
}

// add encodes one entry behind those that are buffered.
func (w *Writer) add(line []byte, stream string, stamp []byte) error {
	if w.file == nil {
		return fmt.Errorf("cannot write to the log %s: %w", w.cfg.Path, os.ErrClosed)
	}
	if w.buf == nil {
		w.buf = buffers.Get().(*[]byte)
	}
	before := len(*w.buf)
	*w.buf = appendEntry(*w.buf, line, stream, stamp)
	if w.cfg.MaxSize > 0 && w.size+int64(len(*w.buf)) > w.cfg.MaxSize && w.size+int64(before) > 0 {
		return w.turn(before)
	}
	if len(*w.buf) >= flushSize {
		return w.flush()
	}
	return nil
}

// turn writes the first n buffered bytes, begins a new file and leaves the rest of the buffer for that.
func (w *Writer) turn(n int) error {
	buf := *w.buf
	err := w.write(buf[:n])
	*w.buf = buf[:copy(buf, buf[n:])]
	return errors.Join(err, w.rotate())
}

func (w *Writer) flush() error {
	if w.buf == nil {
		return nil
	}
	var err error
	if w.file != nil {
		err = w.write(*w.buf)
	}
	*w.buf = (*w.buf)[:0]
	buffers.Put(w.buf)
	w.buf = nil
	return err
}

// write appends whole entries to the file.
func (w *Writer) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if w.torn {
		if _, err := w.file.Write([]byte{'\n'}); err != nil {
			return fmt.Errorf("cannot write to the log: %w", err)
		}
		w.size++
		w.torn = false
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	if err != nil {
		w.torn = n > 0 && p[n-1] != '\n'
		return fmt.Errorf("cannot write to the log: %w", err)
	}
	return nil
}
