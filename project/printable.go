package project

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	longestLine    = 160 // how much of a line of a file is quoted
	longestProblem = 600 // how much of a message is printed, which may quote a value
)

// window cuts a long line around the column, and says where the column is in the rest.
func window(line string, col int) (string, int) {
	if len(line) <= longestLine {
		return line, col
	}
	start := max(0, min(col-1-longestLine/2, len(line)-longestLine))
	for start > 0 && !utf8.RuneStart(line[start]) && start > col-1-longestLine {
		start--
	}
	end := min(start+longestLine, len(line))
	for end < len(line) && end > start && !utf8.RuneStart(line[end]) {
		end--
	}
	return line[start:end], col - start
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

// clip shortens a text that quotes something long.
func clip(s string) string {
	if len(s) <= longestProblem {
		return s
	}
	const ends = longestProblem / 2
	return strings.ToValidUTF8(s[:ends], "") + " … " + strings.ToValidUTF8(s[len(s)-ends:], "")
}

// printable replaces what a terminal would obey or could not show: control characters by their pictures, and marks that
// turn the direction of writing and bytes that are not UTF-8 by U+FFFD. Each takes one column, so that carets still fit.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r < ' ':
			return '\u2400' + r
		case r == 0x7f:
			return '\u2421'
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return utf8.RuneError
		}
		return r
	}, s)
}
