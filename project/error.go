package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/variables"
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
	Snippet string `json:"snippet,omitempty"` // the line; of a long one what is around the column
	Problem string `json:"problem"`
	Fix     string `json:"fix,omitempty"`
	Via     []Via  `json:"via,omitempty"`  // how the file came into the project, the nearest first
	Rule    string `json:"rule,omitempty"` // the kind of mistake for programs, such as "unknown-key"

	shift   int      // how many bytes of the line come before the snippet
	lacking []string // the path of a key that is missing, which another file may bring
	follows bool     // it may only follow from a variable that is not set
}

// Via is a place from which a file is referred to, so that it is part of the project.
type Via struct {
	Position
	Kind    string `json:"kind"`              // "included" or "extended"
	Service string `json:"service,omitempty"` // which service extends
}

// String is "included by FILE:LINE:COL" or "extended by service NAME, FILE:LINE:COL".
func (v Via) String() string {
	if v.Service == "" {
		return v.Kind + " by " + v.Position.String()
	}
	return v.Kind + " by service " + v.Service + ", " + v.Position.String()
}

// Error is the message as it is printed, over several lines when the place is known. Whatever the files say, it has no
// control characters and no line of it is much longer than a terminal is wide.
func (e *Error) Error() string {
	var b strings.Builder
	if place := e.Position.String(); place != "" {
		b.WriteString(printable(place) + ": ")
	}
	b.WriteString(printable(clip(e.Problem)))
	if e.Snippet != "" {
		line, col := window(e.Snippet, e.Col-e.shift)
		fmt.Fprintf(&b, "\n  %s\n  %s^", printable(line), indentTo(line, col))
	}
	for _, v := range e.Via {
		b.WriteString("\n  " + printable(v.String()))
	}
	for line := range strings.Lines(e.Fix) {
		b.WriteString("\n  " + printable(clip(strings.TrimSuffix(line, "\n"))))
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
	unset := make(map[Position]bool) // lines with variables that must be set
	line := func(e *Error) Position { return Position{e.File, e.Line, 0} }
	for _, m := range e {
		unset[line(m)] = unset[line(m)] || m.Rule == variables.RuleUnset
	}
	e = slices.DeleteFunc(e, func(m *Error) bool { return m.follows && unset[line(m)] })
	// A file that comes into the project on two ways has its mistakes twice.
	return slices.CompactFunc(e, func(a, b *Error) bool { return a.Position == b.Position && a.Problem == b.Problem })
}

// with adds a mistake, as long as there are no more than somebody may read. The first one too many only says that there is more.
func (e Errors) with(mistake *Error) Errors {
	switch {
	case len(e) > mostNotices:
		return e
	case len(e) == mostNotices:
		text := fmt.Sprintf("there are more mistakes than %d; the others are told once these are corrected", mostNotices)
		mistake = &Error{Position: mistake.Position, Rule: variables.RuleLimit, Problem: text}
	}
	return append(e, mistake)
}

// suggest is "did you mean x?" for the known word that is nearest to the given one, or "" if none is near.
func suggest(word string, known []string) string {
	if best := nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

// Suggest is suggest for those who read what the Compose model leaves to them.
func Suggest(word string, known []string) string { return suggest(word, known) }

// nearest is the known word that is most like the given one, or "" if none is near.
func nearest(word string, known []string) string {
	best, distance := "", min(len(word)/3+2, len(word))
	if len(word) > longestWord {
		return ""
	}
	for _, k := range known {
		if d := editDistance(word, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// longestWord is how long a word may be to be compared with others.
const longestWord = 100

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
