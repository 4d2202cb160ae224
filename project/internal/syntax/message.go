package syntax

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// byMessage explains what the reader says with the right line.
func (s *scanner) byMessage(message string, n int) (Fault, bool) {
	line := ""
	if n <= len(s.lines) {
		line = strings.TrimRight(s.lines[n-1], "\r\n")
	}
	switch {
	case strings.Contains(message, "unknown anchor"):
		return s.anchor(message)
	case strings.Contains(message, "alphabetic or numeric character"):
		return s.star()
	case strings.Contains(message, "mapping values are not allowed"):
		return s.secondColon(n, line)
	case strings.Contains(message, "could not find expected ':'"):
		return s.missingColon(n, line)
	case strings.Contains(message, "block sequence entries are not allowed"):
		return s.dash(n, line)
	case strings.Contains(message, "cannot start any token"):
		return s.firstCharacter(n, line)
	case strings.Contains(message, "unknown escape character"):
		return s.escape(n)
	case strings.Contains(message, "undefined tag handle"):
		if i := strings.IndexByte(line, '!'); i >= 0 {
			return Fault{n, i + 1, "this tag is not known", "put a value that begins with ! in quotes"}, true
		}
	case strings.Contains(message, "max depth"):
		return Fault{n, 1 + indent(line), "this is nested too deeply", ""}, true
	}
	return Fault{}, false
}

var quotedName = lazily(`'([^']*)'`)

// anchor finds where an anchor is used that is not there.
func (s *scanner) anchor(message string) (Fault, bool) {
	m := quotedName().FindStringSubmatch(message)
	if m == nil {
		return Fault{}, false
	}
	use := regexp.MustCompile(`(^|[\s\[{,:-])\*` + regexp.QuoteMeta(m[1]) + `($|[\s,\]}])`)
	for i, line := range s.lines {
		at := use.FindStringIndex(line)
		if at == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		fix := "write &" + m[1] + " before what it stands for, further up in the same file"
		if known := s.anchors(i); len(known) > 0 {
			fix = "the anchors above it are " + strings.Join(known, ", ")
		}
		if strings.ContainsAny(m[1], ".*/") {
			fix = "put a value that begins with * in quotes"
		}
		return Fault{i + 1, strings.IndexByte(line[at[0]:], '*') + at[0] + 1, "the anchor " + m[1] + " is not defined", fix}, true
	}
	return Fault{}, false
}

var anchorMark = lazily(`(?:^|[\s\[{,:-])&([\w.-]+)`)

func (s *scanner) anchors(before int) []string {
	var out []string
	for _, line := range s.lines[:before] {
		for _, m := range anchorMark().FindAllStringSubmatch(line, -1) {
			if !slices.Contains(out, m[1]) {
				out = append(out, m[1])
			}
		}
	}
	slices.Sort(out)
	return out
}

var lonelyStar = lazily(`(?:^|[\s\[{,])([*&])(?:[^\w-]|$)`)

// star finds a value that begins with * or & and means neither.
func (s *scanner) star() (Fault, bool) {
	for i, line := range s.lines {
		if at := lonelyStar().FindStringSubmatchIndex(strings.TrimRight(line, "\r\n")); at != nil && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			mark := line[at[2]:at[3]]
			return Fault{i + 1, at[2] + 1, "a value cannot begin with " + mark, "put the value in quotes"}, true
		}
	}
	return Fault{}, false
}

// secondColon explains "a: b: c", or a line that is indented deeper than the value above it allows.
func (s *scanner) secondColon(n int, line string) (Fault, bool) {
	first := keyEnd(line, 0)
	if first < 0 {
		return Fault{}, false
	}
	if second := keyEnd(line, first+1); second >= 0 {
		value := strings.TrimSpace(line[first+1:])
		return Fault{n, second + 1, "there is a second colon in the line", fmt.Sprintf("put the value in quotes: %s %q", strings.TrimSpace(line[:first+1]), value)}, true
	}
	above := s.above(n)
	if above == 0 {
		return Fault{}, false
	}
	before := s.lines[above-1]
	if indent(line) > indent(before) {
		name := strings.TrimSpace(line[:first])
		problem := fmt.Sprintf("%s is indented deeper than line %d, which has a value of its own", name, above)
		return Fault{n, 1 + indent(line), problem, fmt.Sprintf("indent it by %s, as the line above", spaces(indent(before)))}, true
	}
	return Fault{}, false
}

// keyEnd is where, from a place on, a colon ends a key that is followed by a space or the line's end; -1 if nowhere.
func keyEnd(line string, from int) int {
	for i := from; i < len(line); i++ {
		switch c := line[i]; {
		case (c == '"' || c == '\'') && (i == 0 || strings.ContainsRune(" [{,:-", rune(line[i-1]))):
			if end := strings.IndexByte(line[i+1:], c); end >= 0 {
				i += end + 1
			}
		case c == '#' && i > 0 && line[i-1] == ' ':
			return -1
		case c == ':' && (i+1 == len(line) || line[i+1] == ' '):
			return i
		}
	}
	return -1
}

// above is the number of the nearest line above that says something; 0 if there is none.
func (s *scanner) above(n int) int {
	for n--; n > 0; n-- {
		if text := strings.TrimSpace(s.lines[n-1]); text != "" && text[0] != '#' {
			return n
		}
	}
	return 0
}

// longestKey is YAML's limit.
const longestKey = 1024

var tightColon = lazily(`^\s*(?:- )*([A-Za-z_][\w.-]*):(\S.*)$`)

// missingColon explains a line that is neither a key nor the rest of a value.
func (s *scanner) missingColon(n int, line string) (Fault, bool) {
	for _, n := range []int{n, n + 1} {
		if n > len(s.lines) {
			break
		}
		line := strings.TrimRight(s.lines[n-1], "\r\n")
		if m := tightColon().FindStringSubmatchIndex(line); m != nil {
			return Fault{n, m[3] + 1, "a space is missing after the colon", fmt.Sprintf("write %s: %s", line[m[2]:m[3]], line[m[4]:m[5]])}, true
		}
	}
	text := strings.TrimSpace(line)
	key, value, two := strings.Cut(text, " ")
	switch {
	case len(text) > longestKey:
		return Fault{n, 1 + indent(line), fmt.Sprintf("a key may have %d characters", longestKey), ""}, true
	case strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "- "):
		return Fault{n, 1 + indent(line), "a space is missing after the hyphen", "write - " + text[1:]}, true
	case two && !strings.ContainsAny(key, `"'[]{}`):
		return Fault{n, indent(line) + len(key) + 1, "a colon is missing", fmt.Sprintf("write %s: %s", key, strings.TrimSpace(value))}, true
	case text != "":
		return Fault{n, indent(line) + len(text) + 1, "a colon is missing", "write " + text + ":"}, true
	}
	return Fault{}, false
}

var inlineDash = lazily(`^(\s*[^\s#][^#]*:\s+)(-\s.*)$`)

// dash explains "ports: - 80".
func (s *scanner) dash(n int, line string) (Fault, bool) {
	if m := inlineDash().FindStringSubmatchIndex(line); m != nil {
		return Fault{n, m[4] + 1, "a list cannot begin in the line of its key", "write it in the next line, or in brackets: [a, b]"}, true
	}
	if above := s.above(n); above > 0 {
		return Fault{n, 1 + indent(line), fmt.Sprintf("an item of a list cannot follow line %d, which has a value already", above), "write the list below a key of its own"}, true
	}
	return Fault{}, false
}

func (s *scanner) firstCharacter(n int, line string) (Fault, bool) {
	for i, c := range line {
		if strings.ContainsRune("@`%", c) && (i == 0 || strings.ContainsRune(" [{,", rune(line[i-1]))) {
			return Fault{n, i + 1, fmt.Sprintf("a value cannot begin with %c", c), "put the value in quotes"}, true
		}
	}
	return Fault{}, false
}

var badEscape = lazily(`\\[^0abt\tnvfre "/\\N_LPxuU\n]`)

// escape finds a backslash in double quotes that means nothing.
func (s *scanner) escape(n int) (Fault, bool) {
	for ; n <= len(s.lines); n++ {
		line := strings.TrimRight(s.lines[n-1], "\r\n")
		quote := strings.IndexByte(line, '"')
		if at := badEscape().FindStringIndex(line[max(quote, 0):]); at != nil {
			at := at[0] + max(quote, 0)
			problem := fmt.Sprintf("%s means nothing in double quotes", line[at:min(at+2, len(line))])
			return Fault{n, at + 1, problem, `write two backslashes, or use single quotes: '…'`}, true
		}
	}
	return Fault{}, false
}

func spaces(n int) string {
	switch n {
	case 1:
		return "1 space"
	}
	return fmt.Sprintf("%d spaces", n)
}
