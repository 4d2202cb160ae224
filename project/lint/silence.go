package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/project/lint/dockerfile"
)

var silenceComment = regexp.MustCompile(`(?:^|\s)#\s*lint:\s*(.*)$`)

// silencer knows the comments of the files that have findings.
type silencer struct {
	*linter
}

func newSilencer(l *linter) *silencer {
	return &silencer{l}
}

// line is a line of a Compose file or a Dockerfile; ok is false behind its end.
func (s *silencer) line(file string, n int) (text string, ok bool) {
	lines, known := s.texts[file]
	if !known {
		lines = s.composeFile(file)
		if lines == nil {
			content, _ := readFile(file) // one that cannot be read has no comments
			lines = strings.Split(string(content), "\n")
		}
		s.texts[file] = lines
	}
	if n < 1 || n > len(lines) {
		return "", false
	}
	return lines[n-1], true
}

func (s *silencer) composeFile(file string) []string {
	text, ok := s.Text(file)
	if !ok {
		return nil
	}
	return strings.Split(text, "\n")
}

// covers says whether a comment silences the finding: on its line, in the comments right above it, or in those that begin
// the file.
func (s *silencer) covers(f Finding) bool {
	if f.Line == 0 {
		return false
	}
	text, _ := s.line(f.File, f.Line)
	if silenced(text, f.Rule) {
		return true
	}
	for n := f.Line - 1; ; n-- {
		text, ok := s.line(f.File, n)
		if !ok || !isComment(text) {
			break
		}
		if silenced(text, f.Rule) {
			return true
		}
	}
	for n := 1; ; n++ {
		text, ok := s.line(f.File, n)
		if !ok || strings.TrimSpace(text) != "" && !isComment(text) {
			return false
		}
		if silenced(text, f.Rule) {
			return true
		}
	}
}

func isComment(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "#") }

func silenced(line, rule string) bool {
	names, ok := ignored(line)
	return ok && slices.Contains(names, rule)
}

// ignored are the names of rules in a line's comment; ok says whether there is one that could be understood.
func ignored(line string) (names []string, ok bool) {
	m := silenceComment.FindStringSubmatch(strings.TrimRight(line, "\r"))
	if m == nil {
		return nil, false
	}
	list, ok := strings.CutPrefix(strings.TrimSpace(m[1]), "ignore=")
	if !ok {
		return nil, false
	}
	list, _, _ = strings.Cut(list, " ")
	return strings.Split(list, ","), true
}

// mistakes are comments in the project's files that silence no rule there is.
func (s *silencer) mistakes() []Finding {
	var out []Finding
	for _, file := range s.Paths() {
		if _, compose := s.Text(file); !compose {
			continue
		}
		for n := 1; ; n++ {
			line, ok := s.line(file, n)
			if !ok {
				break
			}
			if m := silenceComment.FindStringSubmatchIndex(strings.TrimRight(line, "\r")); m != nil && !quoted(line[:m[0]]) {
				out = append(out, s.mistake(file, n, line, m[2])...)
			}
		}
	}
	return out
}

// quoted says whether the end of the text is inside quotes.
func quoted(text string) bool {
	return strings.Count(text, `"`)%2 == 1 || strings.Count(text, "'")%2 == 1
}

func (s *silencer) mistake(file string, n int, line string, col int) []Finding {
	at := project.Position{File: file, Line: n, Col: col + 1}
	names, ok := ignored(line)
	if !ok {
		e := &project.Error{Position: at, Snippet: strings.TrimRight(line, "\r"), Problem: "this comment silences nothing", Fix: "write # lint: ignore=RULE", Rule: silences}
		return []Finding{{Error: e}}
	}
	var out []Finding
	for _, name := range names {
		if fault := unknownRule(name); fault != "" {
			e := &project.Error{Position: at, Snippet: strings.TrimRight(line, "\r"), Problem: fault, Rule: silences}
			out = append(out, Finding{Error: e})
		}
	}
	return out
}

// unknownRule is what to say of a name that is no rule's, or "".
func unknownRule(name string) string {
	known := dockerfile.Rules()
	for _, r := range rules {
		known = append(known, r.Name)
	}
	if slices.Contains(known, name) {
		return ""
	}
	for _, k := range known {
		if strings.EqualFold(k, name) || strings.Contains(k, name) && len(name) > 4 {
			return fmt.Sprintf("there is no rule %q; did you mean %q?", name, k)
		}
	}
	return fmt.Sprintf("there is no rule %q", name)
}
