package syntax

import (
	"fmt"
	"strconv"
	"strings"
)

// scanner reads a text line by line and stops at the first thing that looks wrong.
type scanner struct {
	lines []string

	line    int     // the current one, from 0
	open    []mark  // brackets that are not closed
	quote   mark    // the quote that is not closed; zero: none
	block   int     // the indentation of the key whose block of text goes on; -1: none
	levels  []level // the indentations of the mappings and lists around the line
	hanging bool    // the last line was a key without a value, so that a deeper line may follow
	plain   bool    // the last line was a value that may go on in deeper lines
	fault   *Fault
}

// mark is a character at a place.
type mark struct {
	char      byte
	line, col int // from 0
}

// level is a mapping or a list, by its indentation.
type level struct {
	indent int
	list   bool
}

// byText finds the first quote or bracket that is not closed, and the first line whose indentation fits nothing above it.
func (s *scanner) byText(string, int) (Fault, bool) {
	s.block = -1
	for i := range s.lines {
		s.line = i
		s.read(strings.TrimRight(s.lines[i], "\r\n"))
		if s.fault != nil {
			return *s.fault, true
		}
	}
	switch {
	case s.quote.char != 0:
		s.unclosed(s.quote)
	case len(s.open) > 0:
		s.unclosed(s.open[len(s.open)-1])
	default:
		return Fault{}, false
	}
	return *s.fault, true
}

func (s *scanner) fail(line, col int, problem, fix string) {
	if s.fault == nil {
		s.fault = &Fault{line + 1, col + 1, problem, fix}
	}
}

func (s *scanner) unclosed(m mark) {
	switch m.char {
	case '"', '\'':
		s.fail(m.line, m.col, "this quote is not closed", "write "+string(m.char)+" at the end of the value")
	case '[':
		s.fail(m.line, m.col, "this bracket is not closed", "write ] at the end of the list")
	default:
		s.fail(m.line, m.col, "this brace is not closed", "write } at the end of the mapping")
	}
}

var (
	looksLikeEntry = lazily(`^\s*(- |-$|(- )*["']?[\w./-]+["']?:(\s|$))`)
	blockText      = lazily(`(^|[\s:])[|>][+-]?[0-9]?[+-]?\s*(#.*)?$`)
)

// read takes in a line.
func (s *scanner) read(line string) {
	text := strings.TrimSpace(line)
	if s.block >= 0 {
		if text == "" || indent(line) > s.block {
			return
		}
		s.block = -1
	}
	switch {
	case s.quote.char != 0:
		if looksLikeEntry().MatchString(line) && indent(line) <= indent(s.lines[s.quote.line]) {
			s.unclosed(s.quote)
			return
		}
		s.characters(line, 0)
	case len(s.open) > 0:
		last := s.open[len(s.open)-1]
		if looksLikeEntry().MatchString(line) && indent(line) <= indent(s.lines[s.open[0].line]) {
			s.unclosed(last)
			return
		}
		s.characters(line, 0)
	case text == "" || text[0] == '#' || text == "---" || text == "..." || strings.HasPrefix(text, "--- "):
	default:
		s.entry(line)
	}
}

// entry takes in a line that is an item of a list, a key with or without a value, or the rest of a plain value.
func (s *scanner) entry(line string) {
	at := indent(line)
	if s.plain && len(s.levels) > 0 && at > s.levels[len(s.levels)-1].indent && keyEnd(line, at) < 0 {
		return // a plain value goes on
	}
	for strings.HasPrefix(line[at:], "- ") || line[at:] == "-" {
		s.at(at, true)
		next := at + 1 + indent(line[at+1:])
		s.hanging = true
		if next >= len(line) {
			s.plain = false
			return
		}
		at = next
	}
	colon := keyEnd(line, at)
	if first := line[at]; colon < 0 || first == '[' || first == '{' {
		s.value(line, at)
		return
	}
	s.at(at, false)
	rest := strings.TrimSpace(line[colon+1:])
	s.hanging = rest == "" || rest[0] == '#' || rest[0] == '&' && !strings.Contains(rest, " ") || rest[0] == '!' && !strings.Contains(rest, " ")
	s.plain = false
	if blockText().MatchString(line[colon+1:]) {
		s.block = at
		return
	}
	if !s.hanging {
		s.value(line, colon+1+indent(line[colon+1:]))
	}
}

// value takes in what stands after a key or a hyphen.
func (s *scanner) value(line string, at int) {
	s.hanging = false
	switch line[at] {
	case '"', '\'', '[', '{':
		s.characters(line, at)
	default:
		s.plain = true
		if blockText().MatchString(line[at:]) && len(s.levels) > 0 {
			s.block = s.levels[len(s.levels)-1].indent
		}
	}
}

// at takes in the indentation of an item or a key.
func (s *scanner) at(col int, list bool) {
	if s.fault != nil {
		return
	}
	deepest := -1
	if len(s.levels) > 0 {
		deepest = s.levels[len(s.levels)-1].indent
	}
	if col > deepest {
		if deepest >= 0 && !s.hanging {
			s.fail(s.line, col, fmt.Sprintf("this line is indented deeper than line %d, which has a value of its own", s.above(s.line+1)),
				"indent it by "+spaces(deepest))
		}
		s.levels = append(s.levels, level{col, list})
		return
	}
	was := s.hanging
	var around []string
	for len(s.levels) > 0 && s.levels[len(s.levels)-1].indent > col {
		around = []string{strconv.Itoa(s.levels[len(s.levels)-1].indent)}
		s.levels = s.levels[:len(s.levels)-1]
		was = false
	}
	if len(s.levels) == 0 || s.levels[len(s.levels)-1].indent < col {
		if len(s.levels) > 0 {
			around = append([]string{strconv.Itoa(s.levels[len(s.levels)-1].indent)}, around...)
		}
		s.fail(s.line, col, "the indentation of "+spaces(col)+" fits nothing above", "indent it by "+strings.Join(around, " or ")+" spaces")
		return
	}
	s.sameLevel(col, list, was)
}

// sameLevel compares a line with what its mapping or list has before it.
func (s *scanner) sameLevel(col int, list, hanging bool) {
	top := &s.levels[len(s.levels)-1]
	switch {
	case top.list == list:
	case list && hanging: // a list may stand as far left as its key
		s.levels = append(s.levels, level{col, true})
	case list:
		s.fail(s.line, col, "an item of a list cannot stand between the keys of a mapping", `write "key: value", or give the list a key of its own`)
	case len(s.levels) > 1 && s.levels[len(s.levels)-2].indent == col:
		s.levels = s.levels[:len(s.levels)-1]
	default:
		s.fail(s.line, col, "a key cannot stand between the items of a list", `begin the item with "- ", or indent the key as the list's own key`)
	}
}

// characters takes in quotes and brackets from a place in the line on.
func (s *scanner) characters(line string, from int) {
	for i := from; i < len(line); i++ {
		c := line[i]
		switch {
		case s.quote.char == '"' && c == '\\':
			i++
		case s.quote.char != 0:
			if c != s.quote.char {
				continue
			}
			if c == '\'' && i+1 < len(line) && line[i+1] == '\'' {
				i++
				continue
			}
			opened := s.quote
			s.quote = mark{}
			if !s.afterValue(line, i+1, opened) {
				return
			}
		case c == '#' && i > 0 && line[i-1] == ' ':
			return
		case (c == '"' || c == '\'') && (i == from || strings.ContainsRune(" [{,:", rune(line[i-1]))):
			s.quote = mark{c, s.line, i}
		case c == '[' || c == '{':
			s.open = append(s.open, mark{c, s.line, i})
		case c == ']' || c == '}':
			if !s.close(line, c, i) {
				return
			}
		}
	}
}

func (s *scanner) close(line string, c byte, i int) bool {
	if len(s.open) == 0 {
		s.fail(s.line, i, fmt.Sprintf("this %c closes nothing", c), "remove it, or put the value in quotes")
		return false
	}
	last := s.open[len(s.open)-1]
	if want := map[byte]byte{'[': ']', '{': '}'}[last.char]; c != want {
		s.fail(s.line, i, fmt.Sprintf("%c cannot close the %c of line %d", c, last.char, last.line+1), fmt.Sprintf("write %c", want))
		return false
	}
	s.open = s.open[:len(s.open)-1]
	return s.afterValue(line, i+1, last)
}

// afterValue reports text that follows a closed quote or bracket.
func (s *scanner) afterValue(line string, i int, opened mark) bool {
	rest := strings.TrimSpace(line[i:])
	if rest == "" || rest[0] == '#' || rest[0] == ':' || len(s.open) > 0 && strings.ContainsRune(",]}", rune(rest[0])) {
		return true
	}
	at := i + indent(line[i:])
	switch {
	case len(s.open) > 0:
		s.fail(s.line, at, "a comma is missing before this", "separate the items by commas")
	case opened.char == '"' || opened.char == '\'':
		s.fail(s.line, at, "there is text after the closing quote", "put all of the value in the quotes")
	default:
		s.fail(s.line, at, "there is text after the closing bracket", "put the value in quotes, or remove the text")
	}
	return false
}
