package logs

import "unicode/utf8"

const hex = "0123456789abcdef"

// plain marks the bytes that stand for themselves in the JSON strings that Docker writes, which escape <, > and &.
var plain = func() (t [256]bool) {
	for b := byte(' '); b < utf8.RuneSelf; b++ {
		switch b {
		case '"', '\\', '<', '>', '&':
		default:
			t[b] = true
		}
	}
	return t
}()

// appendEntry appends the JSON object of one entry and a newline.
func appendEntry(dst, line []byte, stream string, stamp []byte) []byte {
	dst = append(dst, `{"log":"`...)
	dst = appendEscaped(dst, line)
	dst = append(dst, `","stream":"`...)
	dst = appendEscaped(dst, []byte(stream))
	dst = append(dst, `","time":"`...)
	dst = append(dst, stamp...)
	return append(dst, "\"}\n"...)
}

// appendEscaped appends s as the inside of a JSON string. Bytes that are not UTF-8 become U+FFFD each.
func appendEscaped(dst, s []byte) []byte {
	start := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		size, keep := 1, false
		if s[i] >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRune(s[i:])
			keep = !(r == utf8.RuneError && size == 1) && r != '\u2028' && r != '\u2029'
		}
		if !keep {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, s[i:i+size])
			start = i + size
		}
		i += size
	}
	return append(dst, s[start:]...)
}

// appendEscape appends the escape sequence for one character that cannot stand for itself.
func appendEscape(dst, char []byte) []byte {
	switch b := char[0]; {
	case len(char) > 1: // U+2028 or U+2029, which JavaScript takes for ends of lines
		return append(dst, '\\', 'u', '2', '0', '2', hex[char[2]&0xf])
	case b >= utf8.RuneSelf:
		return append(dst, `\ufffd`...)
	case b == '\n':
		return append(dst, '\\', 'n')
	case b == '\r':
		return append(dst, '\\', 'r')
	case b == '"' || b == '\\':
		return append(dst, '\\', b)
	default:
		return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&0xf])
	}
}
