package logs

import (
	"bytes"
	"os"
	"time"
	"unicode/utf8"
)

// keepRest is the capacity up to which a stream keeps its buffer for the next unfinished line.
const keepRest = 1 << 10

// stream cuts one of a container's streams into lines.
type stream struct {
	w     *Writer
	name  string
	rest  []byte // the beginning of a line whose end has not come yet
	stamp []byte // scratch for the time
	ended bool
}

// Write implements io.Writer. It takes all of p, whatever the error.
func (s *stream) Write(p []byte) (int, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.ended {
		return 0, os.ErrClosed
	}
	s.stamp = s.w.now().UTC().AppendFormat(s.stamp[:0], time.RFC3339Nano)
	var first error
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		n, err := s.take(rest, end)
		if first == nil {
			first = err
		}
		rest = rest[n:]
	}
	return len(p), first
}

// take logs or keeps the beginning of p and says how much it took. end is where p's first line ends, 0 if it does not.
func (s *stream) take(p []byte, end int) (int, error) {
	length := end - 1 // of the line without its newline
	if end == 0 {
		length = len(p)
	}
	room := PartialSize - len(s.rest)
	switch {
	case length >= room:
		if len(s.rest) == 0 {
			n := wholeRunes(p[:room])
			return n, s.w.add(p[:n], s.name, s.stamp)
		}
		s.rest = append(s.rest, p[:room]...)
		n := wholeRunes(s.rest)
		err := s.w.add(s.rest[:n], s.name, s.stamp)
		s.rest = s.rest[:copy(s.rest, s.rest[n:])]
		return room, err
	case end == 0:
		s.rest = append(s.rest, p...)
		return length, nil
	case len(s.rest) == 0:
		return end, s.w.add(p[:end], s.name, s.stamp)
	default:
		s.rest = append(s.rest, p[:end]...)
		return end, s.logRest()
	}
}

// logRest logs what has gathered as one entry.
func (s *stream) logRest() error {
	err := s.w.add(s.rest, s.name, s.stamp)
	if s.rest = s.rest[:0]; cap(s.rest) > keepRest {
		s.rest = nil
	}
	return err
}

// Close ends the stream.
func (s *stream) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.end()
}

func (s *stream) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	if len(s.rest) == 0 {
		return nil
	}
	s.stamp = s.w.now().UTC().AppendFormat(s.stamp[:0], time.RFC3339Nano)
	return s.logRest()
}

// wholeRunes returns the length of p without an unfinished UTF-8 sequence at its end, so that splitting a line does
// not damage a character.
func wholeRunes(p []byte) int {
	for i := len(p) - 1; i >= 0 && i > len(p)-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if utf8.FullRune(p[i:]) {
				break
			}
			return i
		}
	}
	return len(p)
}
