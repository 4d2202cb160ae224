// Package grammar knows the texts in Compose files that have a form of their own: ports, durations, sizes, addresses,
// names and so on.
//
// A Check takes the text of one value and says what is wrong with it and what to write, in words, and which part of the
// text is to blame. It knows nothing of files; whoever calls it points at the line.
package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fault is what is wrong with a text.
type Fault struct {
	Part    string // of the text, which is to blame; "": all of it
	Before  string // what stands before Part, if Part may stand there too
	Problem string
	Fix     string // what to write; may be empty
	Rule    string // the kind of fault for programs, such as "invalid-port"

	Mild  bool     // it is worth a warning only
	Words []string // of which Part may have been meant to be one
}

// Check returns nil if the text is right.
type Check func(text string) *Fault

// form is a Fault of a text as a whole: it is not what it should be.
func form(rule, text, what, fix string) *Fault {
	return &Fault{Rule: "invalid-" + rule, Problem: fmt.Sprintf("%s is not %s", quote(text), what), Fix: fix}
}

// longest is how much of a value a message quotes.
const longest = 80

func quote(text string) string {
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return strconv.Quote(text)
}

// optional lets the empty text pass, which says the same as to leave the attribute out.
func optional(check Check) Check {
	return func(text string) *Fault {
		if text == "" {
			return nil
		}
		return check(text)
	}
}

// oneOf takes some words, and texts that begin with one of the prefixes and go on.
func oneOf(rule, what string, words []string, prefixes ...string) Check {
	return optional(func(text string) *Fault {
		if slices.Contains(words, text) {
			return nil
		}
		for _, p := range prefixes {
			if rest, ok := strings.CutPrefix(text, p); ok && rest != "" {
				return nil
			}
		}
		allowed := slices.Clone(words)
		for _, p := range prefixes {
			allowed = append(allowed, p+"NAME")
		}
		return form(rule, text, what, "write "+list(allowed))
	})
}

// list is "a, b or c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// only says whether the text has nothing but letters, digits and the other characters.
func only(text, others string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(others, r) }) < 0
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || digit(r)
}

func digit(r rune) bool { return r >= '0' && r <= '9' }

func digits(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool { return !digit(r) }) < 0
}
