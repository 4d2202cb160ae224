package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file. Line and Col start at 1; they are 0 where the place is not known.
type Position struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Col  int    `json:"col,omitempty"`
}

// String is "file:line:col", without what is not known.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Error is a mistake in the user's files: what is wrong, where, and what to write instead.
type Error struct {
	Position
	Snippet string `json:"snippet,omitempty"` // the line
	Problem string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
}

// Error is the message as it is printed, over several lines when the place is known.
func (e *Error) Error() string {
	var b strings.Builder
	if place := e.Position.String(); place != "" {
		b.WriteString(place + ": ")
	}
	b.WriteString(e.Problem)
	if e.Snippet != "" {
		line, col := window(e.Snippet, e.Col)
		fmt.Fprintf(&b, "\n  %s\n  %s^", line, indentTo(line, col))
	}
	if e.Fix != "" {
		b.WriteString("\n  " + e.Fix)
	}
	return b.String()
}

// longestLine is how much of a line is quoted.
const longestLine = 160

// window cuts a long line around the column, and says where the column is in the rest.
func window(line string, col int) (string, int) {
	if len(line) <= longestLine {
		return line, col
	}
	start := max(0, min(col-1-longestLine/2, len(line)-longestLine))
	return strings.ToValidUTF8(line[start:min(start+longestLine, len(line))], ""), col - start
}

// indentTo is white space as wide as what stands before the column; tabs stay tabs.
func indentTo(line string, col int) string {
	var b strings.Builder
	for i, r := range line {
		if i >= col-1 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Errors are several mistakes, in the order of the files.
type Errors []*Error

func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap gives errors.As each mistake.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, err := range e {
		out[i] = err
	}
	return out
}

// Sorted returns the mistakes by place, each once, or nil if there is none.
func (e Errors) Sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return slices.CompactFunc(e, func(a, b *Error) bool { return *a == *b })
}

// suggest is "did you mean x?" for the known word that is nearest to the given one, or "" if none is near.
func suggest(word string, known []string) string {
	best, distance := "", len(word)/3+2
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours that make one word the other.
func editDistance(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
