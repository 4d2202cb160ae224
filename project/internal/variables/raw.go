package variables

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ReadRaw reads NAME=value lines as "docker run --env-file" does: the value is what stands behind the "=", with quotes,
// dollar signs and white space. The error is a *Mistake.
func (f File) ReadRaw() error {
	n := 0
	for line := range bytes.Lines(withoutBOM(f.Content)) {
		n++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if err := f.rawLine(line, n); err != nil {
			return err
		}
		if len(f.Into) > 2*MaxNames {
			return &Mistake{Line: n, Col: 1, Rule: RuleLimit, Problem: fmt.Sprintf("the file sets more than %d names, the most that are read", MaxNames)}
		}
	}
	return nil
}

func (f File) rawLine(line []byte, n int) error {
	text := strings.TrimLeftFunc(string(line), unicode.IsSpace)
	mistake := func(problem, fix string) error {
		return &Mistake{Line: n, Col: 1 + len(line) - len(text), Rule: RuleEnvFile, Problem: problem, Fix: fix}
	}
	name, value, hasValue := strings.Cut(text, "=")
	switch {
	case !utf8.Valid(line):
		return mistake("this is not UTF-8 text", "")
	case text == "" || text[0] == '#':
		return nil
	case len(value) > MaxValue:
		return mistake(fmt.Sprintf("a value has at most %d MB", MaxValue>>20), "")
	case name == "":
		return mistake("a name is missing before the value", "write NAME=value")
	case strings.ContainsAny(name, " \t"):
		return mistake(fmt.Sprintf("white space in the name of a variable, %q", clip(name)), "write NAME=value, one a line, without space before =")
	case strings.IndexByte(text, 0) >= 0:
		return mistake("a NUL character, which no variable can hold", "")
	case hasValue:
		f.Into[name] = Var{value, fmt.Sprintf("%s:%d", f.Name, n)}
	case f.Lookup != nil:
		if v, ok := f.Lookup(name); ok {
			f.Into[name] = v
		}
	}
	return nil
}
