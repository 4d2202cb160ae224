package project

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// dollars are where the dollar signs of a scalar are, in its value and in the file.
type dollars struct {
	of              *yaml.Node
	inValue, inFile []int
}

// dollar finds where in the file the "$" stands that is at the offset of a scalar's value. How a value is written hides
// everything but the dollar signs: they are never folded, and only double quotes have an escape for them. So it is the one
// with as many before it.
func (s *source) dollar(n *yaml.Node, offset int) (line, col int) {
	if s.dollars.of != n {
		s.dollars = s.findDollars(n)
	}
	if i, found := slices.BinarySearch(s.dollars.inValue, offset); found && i < len(s.dollars.inFile) {
		return s.place(s.dollars.inFile[i])
	}
	return n.Line, n.Column
}

func (s *source) findDollars(n *yaml.Node) dollars {
	d := dollars{of: n}
	value := n.Value
	if record, ok := s.filled[n]; ok {
		value = record.raw
	}
	for i := range len(value) {
		if value[i] == '$' {
			d.inValue = append(d.inValue, i)
		}
	}
	at, ok := s.start(n)
	for ; ok && at < len(s.content) && len(d.inFile) < len(d.inValue); at++ {
		switch c := s.content[at]; {
		case c == '$':
			d.inFile = append(d.inFile, at)
		case c == '\\' && n.Style&yaml.DoubleQuotedStyle != 0:
			if escapedDollar(s.content[at:]) {
				d.inFile = append(d.inFile, at)
			}
			at++ // what is escaped
		}
	}
	return d
}

// escapedDollar says whether the text begins with an escape that stands for "$".
func escapedDollar(text []byte) bool {
	return slices.ContainsFunc([]string{`\x24`, `\u0024`, `\U00000024`}, func(escape string) bool { return bytes.HasPrefix(text, []byte(escape)) })
}

// start is the offset in the file at which a scalar's text begins: after its tag and anchor, and after the line that begins
// a block scalar, since there may be a comment on it.
func (s *source) start(n *yaml.Node) (int, bool) {
	at, ok := s.offset(n.Line, n.Column)
	for ok && at < len(s.content) && (s.content[at] == '&' || s.content[at] == '!') {
		for at < len(s.content) && !isSpace(s.content[at]) {
			at++
		}
		for at < len(s.content) && isSpace(s.content[at]) {
			at++
		}
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		for at < len(s.content) && s.content[at] != '\n' {
			at++
		}
	}
	return at, ok
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// offset is where in the file the byte of the line is.
func (s *source) offset(line, column int) (int, bool) {
	s.line(line)
	if line < 1 || line > len(s.lines) {
		return 0, false
	}
	at := s.lines[line-1] + column - 1
	return at, at < len(s.content)
}

// place is the line and the byte of it at an offset of the file.
func (s *source) place(at int) (line, col int) {
	s.line(1)
	i, found := slices.BinarySearch(s.lines, at)
	if !found {
		i--
	}
	return i + 1, at - s.lines[i] + 1
}

// locateIn finds where the text begins that is part of a scalar, on the lines that its value may take up.
func (s *source) locateIn(n *yaml.Node, text string) (line, col int) {
	if line, col, ok := s.search(n, text); ok {
		return line, col
	}
	return n.Line, n.Column
}

// locateBehind is locateIn for a text that stands behind another one, unless variables made that.
func (s *source) locateBehind(n *yaml.Node, before, text string) (line, col int) {
	if line, col, ok := s.search(n, before+text); ok {
		return line, col + len(before)
	}
	return s.locateIn(n, text)
}

func (s *source) search(n *yaml.Node, text string) (line, col int, ok bool) {
	last := n.Line + strings.Count(n.Value, "\n") + 1
	for line := n.Line; line <= last; line++ {
		content := s.line(line)
		start := 0
		if line == n.Line {
			start = min(n.Column-1, len(content))
		}
		if i := strings.Index(content[start:], text); i >= 0 {
			return line, start + i + 1, true
		}
	}
	return 0, 0, false
}

// countBytes makes the columns of the nodes count bytes, where the YAML reader counts characters.
// The lines must have been indexed.
func (s *source) countBytes(root *yaml.Node) {
	c := &cursor{source: s}
	c.walk(root)
}

func isASCII(text []byte) bool {
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// cursor is a character of a file. Nodes come in the order of the file, so that it goes on from one to the next.
type cursor struct {
	*source
	on, column int // the line, and the character of it
	at         int // the byte of the file
}

func (c *cursor) walk(n *yaml.Node) {
	if n.Line >= 1 && n.Line <= len(c.lines) {
		c.move(n.Line, n.Column)
		n.Column = 1 + c.at - c.lines[n.Line-1]
	}
	for _, below := range n.Content {
		c.walk(below)
	}
}

func (c *cursor) move(line, column int) {
	if line != c.on || column < c.column {
		c.on, c.column, c.at = line, 1, c.lines[line-1]
		if line == 1 && bytes.HasPrefix(c.content, []byte("\uFEFF")) {
			c.at += len("\uFEFF")
		}
	}
	for ; c.column < column && c.at < len(c.content); c.column++ {
		_, size := utf8.DecodeRune(c.content[c.at:])
		c.at += size
	}
}
