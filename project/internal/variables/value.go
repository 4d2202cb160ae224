package variables

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// value reads what stands after "=".
func (r *reader) value() (string, error) {
	after := r.at
	r.skipBlank()
	if r.at < len(r.text) && (r.text[r.at] == '"' || r.text[r.at] == '\'') {
		return r.quoted(r.text[r.at])
	}
	start := r.at
	r.at = r.endOfLine()
	value, _, _ := strings.Cut(r.text[start:r.at], " #")
	value = strings.TrimRightFunc(value, unicode.IsSpace)
	if len(value) > MaxValue {
		return "", tooLong(start)
	}
	if start > after && strings.HasPrefix(value, "#") {
		r.note(start, "this is not a comment but the value, since nothing stands before it", `write NAME="" # comment`)
	}
	return r.expand(value, func(offset int) int { return start + offset }, "$$, or put the value in single quotes")
}

// expand replaces the variables of a value; source says where in the file a byte of it comes from.
func (r *reader) expand(value string, source func(int) int, literal string) (string, error) {
	x, err := Expand(value, r.lookup, MaxValue)
	if m, ok := errors.AsType[*Mistake](err); ok {
		m.Offset = source(m.Offset)
		return "", m
	}
	for _, n := range x.notices(value, literal) {
		n.Offset = source(n.Offset)
		r.notice(n)
	}
	return x.Text, err
}

func tooLong(offset int) *Mistake {
	return &Mistake{Offset: offset, Rule: RuleLimit, Problem: fmt.Sprintf("a value has at most %d MB", MaxValue>>20)}
}

// mostNotices is how many a file gets.
const mostNotices = 50

// notice keeps the first notices, and one for each variable that is not set.
func (r *reader) notice(n Notice) {
	known := func(other Notice) bool { return n.Rule == RuleUnset && n.Name == other.Name }
	switch {
	case len(r.notices) > mostNotices || slices.ContainsFunc(r.notices, known):
		return
	case len(r.notices) == mostNotices:
		n = Notice{Offset: n.Offset, Rule: RuleEnvFile, Text: "from here on, warnings about this file are left out"}
	}
	r.notices = append(r.notices, n)
}

func (r *reader) note(offset int, text, fix string) {
	r.notice(Notice{Offset: offset, Rule: RuleEnvFile, Text: text, Fix: fix})
}

// quoted reads a value in quotes. A backslash before the quote keeps it from closing; in double quotes there are other
// escapes and variables too.
func (r *reader) quoted(quote byte) (string, error) {
	start := r.at
	body, ok := r.body(quote)
	if !ok {
		return "", &Mistake{Offset: start, Rule: RuleEnvFile, Problem: fmt.Sprintf("the closing %c of this value is missing", quote),
			Fix: fmt.Sprintf(`a %c inside the value is written \%c`, quote, quote)}
	}
	r.checkRest()
	if len(body) > MaxValue {
		return "", tooLong(start)
	}
	if quote == '\'' {
		return body.text(), nil
	}
	body = body.unescape() // at most as long
	source := func(offset int) int { return int(body[offset].at) }
	return r.expand(body.text(), source, `\$`)
}

// char is a byte of a value and where in the file it comes from.
type char struct {
	c  byte
	at int32
}

type chars []char

func (s chars) text() string {
	var b strings.Builder
	b.Grow(len(s))
	for _, c := range s {
		b.WriteByte(c.c)
	}
	return b.String()
}

// body reads up to the closing quote. The backslash before a quote is gone then, other backslashes are still there.
func (r *reader) body(quote byte) (chars, bool) {
	var out chars
	for i := r.at + 1; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == quote:
			r.at = i + 1
			return out, true
		case c == '\\' && i+1 < len(r.text):
			if r.text[i+1] != quote {
				out = append(out, char{c, int32(i)})
			}
			i++
			out = append(out, char{r.text[i], int32(i)})
		default:
			out = append(out, char{c, int32(i)})
		}
	}
	return nil, false
}

// checkRest looks at what follows a closing quote on the line: it is read as another variable.
func (r *reader) checkRest() {
	rest := r.text[r.at:r.endOfLine()]
	trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
	if trimmed != "" && trimmed[0] != '#' {
		r.note(r.at+len(rest)-len(trimmed), "the value ended at the quote before; this is read as another variable", "put quotes around all of a value")
	}
}

// simpleEscapes are the letters that stand for a control character behind a backslash.
var simpleEscapes = map[byte]byte{'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '"': '"', '\\': '\\'}

// unescape replaces escapes. "\$" becomes "$$", which no variable begins with.
func (s chars) unescape() chars {
	out := make(chars, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i].c != '\\' || i+1 == len(s) {
			out = append(out, s[i])
			continue
		}
		next, at := s[i+1].c, s[i].at
		switch simple, ok := simpleEscapes[next]; {
		case ok:
			out = append(out, char{simple, at})
		case next == '$':
			out = append(out, char{'$', at}, char{'$', at})
		case next == '0':
			digits := s[i+2 : i+2+leadingDigits(s[i+2:])]
			out = append(out, octal(digits, at)...)
			i += len(digits)
		default:
			out = append(out, s[i], s[i+1])
		}
		i++
	}
	return out
}

// leadingDigits is how many digits the text begins with, up to three.
func leadingDigits(s chars) int {
	n := 0
	for n < len(s) && n < 3 && s[n].c >= '0' && s[n].c <= '9' {
		n++
	}
	return n
}

// octal is what "\0" and the digits stand for: a character, if they are three octal digits up to 377, else a backslash and
// the digits.
func octal(digits chars, at int32) chars {
	text := digits.text()
	value := "\\" + text
	if n, err := strconv.ParseUint(text, 8, 8); err == nil && len(text) == 3 {
		value = string(rune(n))
	}
	out := make(chars, len(value))
	for i := range out {
		out[i] = char{value[i], at}
	}
	return out
}
