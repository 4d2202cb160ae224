package reader

import (
	"bytes"
	"errors"
	"io"
	"os"
)

const (
	chunkSize = 64 << 10
	// maxLine is far above what a writer produces: 16 KiB, each byte of which takes up to 6. A longer line is damage.
	maxLine = 1 << 20
)

// lines reads a growing file line by line.
type lines struct {
	f      *os.File
	limit  int64  // where to stop; below 0 for the end of the file
	offset int64  // in the file, behind buf
	buf    []byte // what was read and not yet returned
	start  int    // of the unreturned part of buf
	search int    // where the search for a newline goes on
	skip   bool   // the rest of a line that is too long is being skipped
}

func newLines(f *os.File, offset, limit int64) *lines {
	return &lines{f: f, offset: offset, limit: limit}
}

// next returns the next whole line without its newline, valid until the next call, or io.EOF when there is none yet.
func (l *lines) next() ([]byte, error) {
	for {
		if n := bytes.IndexByte(l.buf[l.search:], '\n'); n >= 0 {
			line := l.buf[l.start : l.search+n]
			l.start = l.search + n + 1
			l.search = l.start
			if l.skip {
				l.skip = false
				continue
			}
			return line, nil
		}
		l.search = len(l.buf)
		if len(l.buf)-l.start > maxLine {
			l.skip, l.start, l.search, l.buf = true, 0, 0, l.buf[:0]
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

// rest returns what is left at the end of a file that is complete.
func (l *lines) rest() []byte {
	if l.skip {
		return nil
	}
	return l.buf[l.start:]
}

// fill reads a chunk behind the buffer.
func (l *lines) fill() error {
	if l.start > 0 {
		n := copy(l.buf, l.buf[l.start:])
		l.buf, l.search, l.start = l.buf[:n], l.search-l.start, 0
	}
	want := int64(chunkSize)
	if l.limit >= 0 {
		want = min(want, l.limit-l.offset)
	}
	if want <= 0 {
		return io.EOF
	}
	have := len(l.buf)
	if cap(l.buf)-have < int(want) {
		l.buf = append(make([]byte, 0, max(2*have, have+chunkSize)), l.buf...)
	}
	n, err := l.f.ReadAt(l.buf[have:have+int(want)], l.offset)
	l.buf = l.buf[:have+n]
	l.offset += int64(n)
	switch {
	case n > 0:
		return nil
	case errors.Is(err, io.EOF):
		return l.checkTruncated()
	default:
		return err
	}
}

// checkTruncated starts again at the beginning if somebody has emptied the file.
func (l *lines) checkTruncated() error {
	st, err := l.f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < l.offset {
		l.offset, l.start, l.search, l.buf, l.skip = 0, 0, 0, l.buf[:0], false
		return nil
	}
	if cap(l.buf) > chunkSize/4 && l.start == len(l.buf) {
		l.buf = nil // a follower may wait for long
		l.start, l.search = 0, 0
	}
	return io.EOF
}
