package variables

import (
	"fmt"
	"strings"
)

// kind is what a "$" begins.
type kind uint8

const (
	lone    kind = iota // nothing: it stands for itself
	doubled             // "$$"
	named               // "$NAME"
	braced              // "${NAME}", perhaps with an operator
	broken              // "${" that goes on in no allowed way
)

// expression is what begins with one "$" of a text.
type expression struct {
	kind       kind
	start, end int
	name       string
	op         string
	from, to   int    // what stands after the operator
	why        string // of a broken one
	fix        string
}

// parse reads the expression that begins with the "$" at text[start] and ends before to.
func parse(text string, start, to int) expression {
	x := expression{kind: lone, start: start, end: start + 1}
	switch {
	case x.end == to:
	case text[x.end] == '$':
		x.kind, x.end = doubled, start+2
	case text[x.end] == '{':
		return parseBraced(text, start, to)
	default:
		if end := endOfName(text, start+1, to); end > start+1 {
			x.kind, x.name, x.end = named, text[start+1:end], end
		}
	}
	return x
}

// endOfName is where the name that begins at from ends; from, if none begins there.
func endOfName(text string, from, to int) int {
	i := from
	for i < to && (isLetter(text[i]) || i > from && text[i] >= '0' && text[i] <= '9') {
		i++
	}
	return i
}

func isLetter(c byte) bool { return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func parseBraced(text string, start, to int) expression {
	x := expression{kind: braced, start: start}
	at := endOfName(text, start+2, to)
	x.name = text[start+2 : at]
	switch {
	case x.name == "":
		return x.breaks(text, to, "a name must follow ${", "write ${NAME} or ${NAME:-default}")
	case at < to && text[at] == '}':
		x.end = at + 1
		return x
	}
	x.op = operator(text[at:to])
	if x.op == "" {
		return x.breaks(text, to, badOperator(text[at:to], x.name), "after the name comes }, or one of :- - :? ? :+ + with a text")
	}
	x.from = at + len(x.op)
	x.to = closing(text, x.from, to)
	if x.to < 0 {
		return x.breaks(text, to, "the } of ${"+x.name+x.op+" is missing on its line", "write ${"+x.name+x.op+"…}")
	}
	x.end = x.to + 1
	return x
}

func operator(s string) string {
	n := 0
	if s != "" && s[0] == ':' {
		n = 1
	}
	if n < len(s) && strings.IndexByte("-?+", s[n]) >= 0 {
		return s[:n+1]
	}
	return ""
}

func badOperator(rest, name string) string {
	if rest == "" || rest[0] == '\n' {
		return "the } of ${" + name + " is missing"
	}
	if strings.IndexByte("/#%^,@!=", rest[0]) >= 0 {
		return fmt.Sprintf("the operator %q of shells does not exist in Compose files", rest[:1])
	}
	return fmt.Sprintf("%q cannot follow the name %s", firstRune(rest), name)
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}

// closing is where the "}" is that closes the expression whose operator ends at from: the one that is even with all braces
// between them, or, where they are not even, the last one of the line. It is negative if there is none.
func closing(text string, from, to int) int {
	if i := strings.IndexByte(text[from:to], '\n'); i >= 0 {
		to = from + i
	}
	open := 1
	for i := from; i < to; i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	if i := strings.LastIndexByte(text[from:to], '}'); i >= 0 {
		return from + i
	}
	return -1
}

// breaks makes x a broken expression, which is quoted up to the end of its word.
func (x expression) breaks(text string, to int, why, fix string) expression {
	end := x.start
	for end < to && end < x.start+40 && text[end] != '\n' && text[end] != ' ' {
		if end++; text[end-1] == '}' {
			break
		}
	}
	quoted := strings.ToValidUTF8(text[x.start:end], "")
	return expression{kind: broken, start: x.start, end: end, why: fmt.Sprintf("%q is not a valid use of a variable: %s", quoted, why), fix: fix}
}

func (x expression) mistake() *Mistake {
	return &Mistake{Offset: x.start, Rule: RuleSyntax, Problem: x.why, Fix: x.fix + "; a $ that is meant literally is written $$"}
}
