package variables

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ReadFile reads an env file of a bounded size.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > MaxFile {
		return nil, &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("it has more than %d MB, the most that is read", MaxFile>>20)}
	}
	return content, nil
}

// File is an env file that is read: where its variables go, and where those come from that it names without setting them.
type File struct {
	Name    string // for the origins
	Content []byte
	Into    Env    // gets the variables; those that it has may be used in values
	Lookup  Lookup // wins over Into in values, and is what NAME without a value stands for; may be nil
}

// Read reads NAME=value lines with quotes, escapes and variables. The error is a *Mistake; Into may have got a part by then.
func (f File) Read() ([]Notice, error) {
	r := reader{File: f, text: string(f.Content)}
	r.at = len(f.Content) - len(withoutBOM(f.Content))
	r.room = len(r.text) + MaxGrowth
	err := r.all()
	if m, ok := errors.AsType[*Mistake](err); ok {
		m.Line, m.Col = place(r.text, m.Offset)
	}
	for i, n := range r.notices {
		r.notices[i].Line, r.notices[i].Col = place(r.text, n.Offset)
	}
	return r.notices, err
}

// reader is at one place of the file. Statements are read one after the other; a statement is over at the end of its line,
// or behind a closing quote.
type reader struct {
	File
	text    string
	at      int
	line    int // of the last place that was asked for
	counted int // the bytes before it
	room    int // how many bytes the values may still have
	names   int // how many variables were set
	notices []Notice
}

func (r *reader) all() error {
	for r.skip() {
		if err := r.statement(); err != nil {
			return err
		}
	}
	return nil
}

// skip goes to the next statement, over white space and comments, and says whether there is one.
func (r *reader) skip() bool {
	for r.at < len(r.text) {
		c, size := utf8.DecodeRuneInString(r.text[r.at:])
		switch {
		case c == '#':
			r.at = r.endOfLine()
		case unicode.IsSpace(c):
			r.at += size
		default:
			return true
		}
	}
	return false
}

func (r *reader) endOfLine() int {
	if i := strings.IndexByte(r.text[r.at:], '\n'); i >= 0 {
		return r.at + i
	}
	return len(r.text)
}

// blank is white space within a line.
func blank(c rune) bool {
	switch c {
	case '\t', '\v', '\f', '\r', ' ', 0x85, 0xA0:
		return true
	}
	return false
}

func (r *reader) skipBlank() {
	rest := r.text[r.at:]
	r.at += len(rest) - len(strings.TrimLeftFunc(rest, blank))
}

func (r *reader) statement() error {
	if rest, ok := strings.CutPrefix(r.text[r.at:], "export"); ok && strings.IndexAny(rest[:min(1, len(rest))], " \t\r\n\f") == 0 {
		r.at += len("export")
		r.skipBlank()
	}
	start := r.at
	name, hasValue, err := r.name()
	switch {
	case err != nil:
		return err
	case name == "" && hasValue:
		return &Mistake{Offset: start, Rule: RuleEnvFile, Problem: "a name is missing before the value", Fix: "write NAME=value"}
	case name == "":
		return nil // "export" alone
	case !hasValue:
		if v, ok := r.find(name); ok {
			r.Into[name] = v
		}
		return nil
	}
	value, err := r.value()
	if err != nil {
		return err
	}
	return r.set(name, value, start)
}

// find looks a variable up where those come from that the file does not set.
func (r *reader) find(name string) (Var, bool) {
	if r.Lookup == nil {
		return Var{}, false
	}
	return r.Lookup(name)
}

// lookup finds a variable that a value names.
func (r *reader) lookup(name string) (Var, bool) {
	if v, ok := r.find(name); ok {
		return v, true
	}
	return r.Into.Lookup(name)
}

func (r *reader) set(name, value string, at int) error {
	if strings.IndexByte(value, 0) >= 0 {
		return &Mistake{Offset: at, Rule: RuleEnvFile, Problem: fmt.Sprintf("the value of %s has a NUL character, which no variable can hold", name)}
	}
	if r.room -= len(value); r.room < 0 {
		return &Mistake{Offset: at, Rule: RuleLimit, Problem: "the values of this file are too long together", Fix: "a variable that repeats others grows with each of them"}
	}
	if r.names++; r.names > MaxNames {
		return &Mistake{Offset: at, Rule: RuleLimit, Problem: fmt.Sprintf("the file sets more than %d names, the most that are read", MaxNames)}
	}
	r.Into[name] = Var{value, r.Name + ":" + strconv.Itoa(r.lineOf(at))}
	return nil
}

// lineOf counts on from the last line that was asked for.
func (r *reader) lineOf(offset int) int {
	r.line += strings.Count(r.text[r.counted:offset], "\n")
	r.counted = offset
	return r.line + 1
}

// name reads a name and what ends it: "=" or ":", where a value follows, or the end of the line.
func (r *reader) name() (name string, hasValue bool, err error) {
	start := r.at
	for r.at < len(r.text) {
		c, size := utf8.DecodeRuneInString(r.text[r.at:])
		switch {
		case c == '=' || c == ':':
			name, err = r.checkName(start, r.at, true)
			r.at += size
			return name, true, err
		case c == '\n':
			name, err = r.checkName(start, r.at, false)
			return name, false, err
		case blank(c) || unicode.IsLetter(c) || unicode.IsNumber(c) || strings.ContainsRune("_.-[]", c):
			r.at += size
		default:
			return "", false, r.badName(start, r.at, c)
		}
	}
	name, err = r.checkName(start, r.at, false)
	return name, false, err
}

func (r *reader) checkName(start, end int, hasValue bool) (string, error) {
	name := strings.TrimRightFunc(r.text[start:end], unicode.IsSpace)
	i := strings.IndexFunc(name, unicode.IsSpace)
	if i < 0 {
		return name, nil
	}
	m := &Mistake{Offset: start + i, Rule: RuleEnvFile, Problem: fmt.Sprintf("white space in the name of a variable, %q", clip(name)), Fix: "write NAME=value, one a line"}
	if !hasValue {
		m.Problem = fmt.Sprintf("%q has no value, and white space, which no name can have", clip(name))
	}
	return "", m
}

func (r *reader) badName(start, at int, c rune) *Mistake {
	problem := fmt.Sprintf("%q cannot be in the name of a variable", string(c))
	fix := "names have letters, digits, _ . - [ and ]; write NAME=value, one a line"
	switch c {
	case '"', '\'':
		fix = "a quote is closed before here, or not opened; write NAME=\"value\""
	case utf8.RuneError:
		problem, fix = "this is not UTF-8 text", ""
	case '#':
		fix = "a comment begins at the beginning of a line or after a value and a space"
	}
	return &Mistake{Offset: at, Rule: RuleEnvFile, Problem: problem, Fix: fix}
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}
