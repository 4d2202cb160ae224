package engine

import (
	"bufio"
	"encoding/binary"
	"io"
	"io/fs"
	"slices"
	"time"
)

// File states travel from a client to an engine a hundred thousand at a time. Their form on the way is shorter and much quicker
// to read than JSON. Each is: the length of what its path has in common with the one before, the rest of the path, the
// mode, the size, the seconds of the time, the digest, and the link. Numbers are varints of encoding/binary, texts have
// their length before them.

// WriteFileStates writes files in the form that ReadFileStates reads.
func WriteFileStates(w io.Writer, files []FileState) error {
	out := bufio.NewWriterSize(w, 64<<10)
	before, buf := "", []byte(nil)
	for i := range files {
		f := &files[i]
		same := commonLength(before, f.Path)
		buf = binary.AppendUvarint(buf[:0], uint64(same))
		buf = appendText(buf, f.Path[same:])
		buf = binary.AppendUvarint(buf, uint64(f.Mode))
		buf = binary.AppendVarint(buf, f.Size)
		buf = binary.AppendVarint(buf, f.ModTime.Unix())
		buf = appendText(buf, string(f.Digest))
		buf = appendText(buf, f.Link)
		if _, err := out.Write(buf); err != nil {
			return err
		}
		before = f.Path
	}
	return out.Flush()
}

func commonLength(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func appendText(buf []byte, text string) []byte {
	return append(binary.AppendUvarint(buf, uint64(len(text))), text...)
}

// maxStateText is longer than any path that a kernel takes.
const maxStateText = 16 << 10

// ReadFileStates reads files to the end of r, but not more than so many, with so many bytes of text together: few bytes may
// stand for long paths. ErrInvalid: they are broken, or too many.
func ReadFileStates(r io.Reader, most, mostText int) ([]FileState, error) {
	in := stateReader{from: bufio.NewReaderSize(r, 64<<10), textLeft: mostText}
	var files []FileState
	for {
		if _, err := in.from.Peek(1); err == io.EOF {
			return files, nil
		}
		f := in.state()
		switch {
		case in.err != nil:
			return nil, Errorf(ErrInvalid, "cannot read what the files are compared with: %w", in.err)
		case len(files) == most:
			return nil, Errorf(ErrInvalid, "cannot compare more than %d files at once", most)
		}
		files = append(files, f)
	}
}

// stateReader reads until its first error.
type stateReader struct {
	from     *bufio.Reader
	textLeft int
	before   string
	buf      []byte
	err      error
}

func (s *stateReader) state() FileState {
	same := s.number(uint64(len(s.before)))
	path := s.text(s.before[:same])
	f := FileState{Path: path, Mode: fs.FileMode(s.number(1<<32 - 1)), Size: s.signed(), ModTime: time.Unix(s.signed(), 0)}
	if digest := s.text(""); digest != "" {
		f.Digest = []byte(digest)
	}
	f.Link = s.text("")
	s.before = path
	return f
}

// number reads a number that is not above most; it is 0 after an error.
func (s *stateReader) number(most uint64) uint64 {
	if s.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(s.from)
	if err == nil && n > most {
		err = Errorf(ErrInvalid, "a number is out of range")
	}
	if s.err = whole(err); s.err != nil {
		return 0
	}
	return n
}

func (s *stateReader) signed() int64 {
	if s.err != nil {
		return 0
	}
	n, err := binary.ReadVarint(s.from)
	s.err = whole(err)
	return n
}

// text reads a text that follows another one.
func (s *stateReader) text(begin string) string {
	n := len(begin) + int(s.number(maxStateText))
	if s.textLeft -= n; s.textLeft < 0 && s.err == nil {
		s.err = Errorf(ErrInvalid, "the paths are too long")
	}
	if s.err != nil {
		return ""
	}
	s.buf = slices.Grow(s.buf[:0], n)[:n]
	copy(s.buf, begin)
	_, err := io.ReadFull(s.from, s.buf[len(begin):])
	s.err = whole(err)
	return string(s.buf)
}

// whole makes the end an error where more must follow.
func whole(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
