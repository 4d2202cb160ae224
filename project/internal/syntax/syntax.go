// Package syntax says where a text stops being YAML, and what to write instead.
//
// The YAML reader says that something is wrong, often at the line where a mapping began and in words of its grammar. Explain
// looks at the text again, line by line, as a person would: which quote or bracket is not closed, which line is indented like
// nothing above it, where a space is missing. It is called only for texts that the reader has refused, and is never asked
// whether a text is right.
package syntax

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Fault is what is wrong with a text, and where. Line and Col start at 1; Col counts bytes.
type Fault struct {
	Line, Col    int
	Problem, Fix string
}

var readerMessage = lazily(`^yaml: (?:line (\d+): )?(.*)`)

// longestText is how much of a text is looked at; what comes after it gets the reader's own words.
const longestText = 4 << 20

// Explain says what is wrong with a text that the YAML reader has refused with err.
func Explain(text []byte, err error) Fault {
	message, line := err.Error(), 1
	if m := readerMessage().FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1])
		line, message = max(line, 1), m[2]
	}
	if f, ok := badBytes(text); ok {
		return f
	}
	lines := strings.SplitAfter(string(text[:min(len(text), longestText)]), "\n")
	s := &scanner{lines: lines}
	for _, look := range []func(message string, line int) (Fault, bool){s.conflict, s.tab, s.byMessage, s.byText} {
		if f, ok := look(message, line); ok {
			return f
		}
	}
	line = min(line, len(lines))
	for line > 1 && strings.TrimSpace(lines[line-1]) == "" {
		line--
	}
	return Fault{Line: line, Col: 1 + indent(lines[line-1]), Problem: "this is not YAML: " + message}
}

// badBytes finds the first byte that no text has.
func badBytes(text []byte) (Fault, bool) {
	at, problem, fix := -1, "", ""
	for i := 0; i < len(text) && at < 0; {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			at, problem, fix = i, fmt.Sprintf("the byte 0x%02x is not UTF-8", text[i]), "save the file as UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			at, problem, fix = i, fmt.Sprintf("a control character, 0x%02x, cannot be in the file", r), fmt.Sprintf(`remove it, or write "\x%02x" in double quotes`, r)
		}
		i += size
	}
	if at < 0 || bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) { // UTF-16 is read
		return Fault{}, false
	}
	start := bytes.LastIndexByte(text[:at], '\n') + 1
	return Fault{1 + bytes.Count(text[:at], []byte("\n")), 1 + at - start, problem, fix}, true
}

// conflict finds what git leaves where two changes meet.
func (s *scanner) conflict(string, int) (Fault, bool) {
	for i, line := range s.lines {
		if strings.HasPrefix(line, "<<<<<<< ") || strings.HasPrefix(line, ">>>>>>> ") {
			return Fault{i + 1, 1, "a merge conflict is not resolved", "choose one of the two versions and remove the marks"}, true
		}
	}
	return Fault{}, false
}

// tab finds the first tab in the white space that begins a line.
func (s *scanner) tab(message string, _ int) (Fault, bool) {
	if !strings.Contains(message, "cannot start any token") && !strings.Contains(message, "tab") && !strings.Contains(message, "did not find expected") {
		return Fault{}, false
	}
	for i, line := range s.lines {
		rest := strings.TrimLeft(line, " ")
		if strings.HasPrefix(rest, "\t") && strings.TrimSpace(rest) != "" && !strings.HasPrefix(strings.TrimSpace(rest), "#") {
			return Fault{i + 1, 1 + len(line) - len(rest), "a tab cannot be used to indent", "use spaces"}, true
		}
	}
	return Fault{}, false
}

func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// lazily is a pattern that is compiled when it is first needed: most commands never do.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
