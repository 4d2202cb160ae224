package reader

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"stackrun.dev/stack/engine"
)

// decode reads one line of a log. It is false for a line that was torn or is no log entry. The entry shares no memory
// with the line.
func decode(line []byte) (engine.LogEntry, bool) {
	if e, ok := decodePlain(line); ok {
		return e, true
	}
	return decodeJSON(line)
}

// decodePlain understands the one layout that the writers of these files use, ten times as fast as a JSON decoder.
func decodePlain(line []byte) (e engine.LogEntry, ok bool) {
	line, ok = bytes.CutPrefix(line, []byte(`{"log":"`))
	if !ok {
		return e, false
	}
	text, line, ok := cutString(line)
	if !ok {
		return e, false
	}
	if line, ok = bytes.CutPrefix(line, []byte(`,"stream":"`)); !ok {
		return e, false
	}
	stream, line, ok := bytes.Cut(line, []byte(`","time":"`))
	if !ok {
		return e, false
	}
	stamp, ok := bytes.CutSuffix(line, []byte(`"}`))
	if !ok {
		return e, false
	}
	switch string(stream) {
	case "stdout":
		e.Stream = "stdout"
	case "stderr":
		e.Stream = "stderr"
	default:
		return e, false
	}
	var t time.Time
	if t.UnmarshalText(stamp) != nil {
		return e, false
	}
	e.Time = t.UTC()
	e.Line, ok = unescape(text)
	return e, ok
}

// cutString cuts s behind the quote that ends a JSON string.
func cutString(s []byte) (inside, after []byte, ok bool) {
	for i := 0; ; {
		n := bytes.IndexByte(s[i:], '"')
		if n < 0 {
			return nil, nil, false
		}
		i += n
		slashes := 0
		for slashes < i && s[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return s[:i], s[i+1:], true
		}
		i++
	}
}

// unescape returns the text of the inside of a JSON string. It is false for what is not valid there.
func unescape(s []byte) ([]byte, bool) {
	if !utf8.Valid(s) {
		return nil, false
	}
	for _, b := range s {
		if b < ' ' {
			return nil, false
		}
	}
	out := make([]byte, 0, len(s))
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(out, s...), true
		}
		out = append(out, s[:n]...)
		s = s[n+1:]
		if len(s) == 0 {
			return nil, false
		}
		if s[0] == 'u' {
			r, size := unicodeEscape(s)
			if size == 0 {
				return nil, false
			}
			out = utf8.AppendRune(out, r)
			s = s[size:]
			continue
		}
		b := simpleEscape(s[0])
		if b == 0 {
			return nil, false
		}
		out = append(out, b)
		s = s[1:]
	}
}

// simpleEscape returns what a backslash with that letter stands for, 0 if it stands for nothing.
func simpleEscape(letter byte) byte {
	switch letter {
	case '"', '\\', '/':
		return letter
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// unicodeEscape reads "uXXXX" or a pair of such surrogates and returns how much it read, 0 if it is not one.
func unicodeEscape(s []byte) (rune, int) {
	r, ok := hexRune(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 5
	}
	if len(s) >= 11 && s[5] == '\\' {
		if low, ok := hexRune(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 11
			}
		}
	}
	return utf8.RuneError, 5
}

func hexRune(s []byte) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	for _, b := range s[1:5] { // ParseUint alone would take an underscore or a sign in places
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(s[1:5]), 16, 32)
	return rune(n), err == nil
}

// decodeJSON understands every layout.
func decodeJSON(line []byte) (engine.LogEntry, bool) {
	var v struct {
		Log    *string    `json:"log"`
		Stream string     `json:"stream"`
		Time   *time.Time `json:"time"`
	}
	if json.Unmarshal(line, &v) != nil || v.Log == nil || v.Time == nil {
		return engine.LogEntry{}, false
	}
	return engine.LogEntry{Time: v.Time.UTC(), Stream: v.Stream, Line: []byte(*v.Log)}, true
}
