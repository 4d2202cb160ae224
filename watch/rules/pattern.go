package rules

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/moby/patternmatcher"
)

// patterns are Docker's: the last one that matches a path, or a directory above it, decides.
type patterns []pattern

// pattern is one of them. What it is made of is asked first what is cheap, since most patterns do not match most paths.
type pattern struct {
	text      string
	exception bool // it was written with "!"
	kind      kind
	prefix    string // a path that is matched, or has a directory above it that is, begins with this
	contains  string // and has this in it
	matcher   *patternmatcher.PatternMatcher
	segments  []string
}

type kind uint8

const (
	general    kind = iota // the matcher decides
	everything             // "*", "**": any first segment matches
	literal                // "a/b": a path and what is below it
	anywhere               // "**/a": the same at any depth
	ending                 // "**/*.a": names that end so, at any depth
)

const (
	special = `*?[]\`
	// slash and bracket: what these stand for may have a "/" in it, so that segments of pattern and path do not face each other.
	crossing = `[]\`
)

// compile reads patterns that are relative to the same directory. dot is what a pattern for this directory itself means.
func compile(texts []string, dot string) (patterns, error) {
	var out patterns
	for _, text := range texts {
		p, err := compileOne(text, dot)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", text, err)
		}
		if p != nil {
			out = append(out, *p)
		}
	}
	return out, nil
}

func compileOne(text, dot string) (*pattern, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	rest, exception := strings.CutPrefix(text, "!")
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return nil, errors.New("it has nothing behind the exclamation mark")
	}
	rest = filepath.Clean(rest)
	if rest == "." || rest == "/" {
		rest = dot
	}
	rest = strings.TrimPrefix(rest, "/")
	p := &pattern{text: rest, exception: exception, segments: strings.Split(rest, "/")}
	if strings.HasPrefix(rest, "!") {
		rest = `\` + rest // the second exclamation mark belongs to the name
	}
	var err error
	if p.matcher, err = patternmatcher.New([]string{rest}); err != nil {
		return nil, err
	}
	// The first use compiles it, and is what shows some mistakes. Later ones only read.
	if _, err = p.matcher.MatchesOrParentMatches("x"); err != nil {
		return nil, err
	}
	p.analyze()
	return p, nil
}

// analyze finds out what is cheap to ask.
func (p *pattern) analyze() {
	switch tail := strings.TrimPrefix(p.text, "**/"); {
	case !utf8.ValidString(p.text) || strings.ContainsRune(p.text, '\uFEFF'): // the matcher replaces or drops such characters
	case p.text == "*" || p.text == "**":
		p.kind = everything
	case !strings.ContainsAny(p.text, special):
		p.kind, p.prefix = literal, p.text
	case !strings.ContainsAny(tail, special) && tail != "":
		p.kind, p.contains = anywhere, tail
	case len(tail) > 1 && len(tail) < len(p.text) && tail[0] == '*' && !strings.ContainsAny(tail[1:], special+"/"):
		p.kind, p.contains = ending, tail[1:]
	default:
		p.prefix = p.text[:strings.IndexAny(p.text, special)]
		if !strings.ContainsAny(p.text, crossing) {
			p.contains = longestLiteral(p.text[len(p.prefix):])
		}
	}
}

// longestLiteral is the longest text that is in every path that matches what begins with a special character. A slash behind "**" need not be.
func longestLiteral(text string) string {
	longest := ""
	for i := 0; i < len(text); {
		end := i + strings.IndexAny(text[i:]+"*", special)
		run := text[i:end]
		if strings.HasSuffix(text[:i], "**") {
			run = strings.TrimPrefix(run, "/")
		}
		if len(run) > len(longest) {
			longest = run
		}
		i = end + 1
	}
	return longest
}

// matches says whether the path, or a directory above it, is what the pattern describes.
func (p *pattern) matches(path string) bool {
	if !strings.HasPrefix(path, p.prefix) {
		return false
	}
	switch p.kind {
	case everything:
		return true
	case literal:
		return len(path) == len(p.text) || path[len(p.text)] == '/'
	case anywhere:
		return hasSegments(path, p.contains)
	case ending:
		return hasEnding(path, p.contains)
	}
	if !strings.Contains(path, p.contains) {
		return false
	}
	matched, err := p.matcher.MatchesOrParentMatches(path)
	return matched && err == nil
}

// hasSegments says whether the segments of part are in the path one after the other.
func hasSegments(path, part string) bool {
	for i := 0; ; i++ {
		next := strings.Index(path[i:], part)
		if next < 0 {
			return false
		}
		i += next
		end := i + len(part)
		if (i == 0 || path[i-1] == '/') && (end == len(path) || path[end] == '/') {
			return true
		}
	}
}

// hasEnding says whether a segment of the path ends with the text.
func hasEnding(path, end string) bool {
	for rest, more := path, true; more; {
		var name string
		if name, rest, more = strings.Cut(rest, "/"); strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// mayMatchBelow says whether the pattern could match something below the directory. It may say so of one where it cannot.
func (p *pattern) mayMatchBelow(dir string) bool {
	for _, segment := range p.segments {
		if strings.Contains(segment, "**") || strings.ContainsAny(segment, crossing) {
			return true
		}
		name, rest, more := strings.Cut(dir, "/")
		if segment != name && !strings.ContainsAny(segment, "*?") {
			return false
		}
		if dir = rest; !more {
			return true
		}
	}
	return true // it matches the directory or one above it
}

// last is the index of the pattern that decides about the path, or -1.
func (ps patterns) last(path string) int {
	for i := len(ps) - 1; i >= 0; i-- {
		if ps[i].matches(path) {
			return i
		}
	}
	return -1
}

// match says whether the path is among what the patterns describe.
func (ps patterns) match(path string) bool {
	i := ps.last(path)
	return i >= 0 && !ps[i].exception
}

// matchAll says that the directory is, with all that may ever be in it.
func (ps patterns) matchAll(dir string) bool {
	last := ps.last(dir)
	if last < 0 || ps[last].exception {
		return false
	}
	for i := last + 1; i < len(ps); i++ {
		if ps[i].exception && ps[i].mayMatchBelow(dir) {
			return false
		}
	}
	return true
}

// mayMatchBelow says whether something below the directory could be among what the patterns describe.
func (ps patterns) mayMatchBelow(dir string) bool {
	for i := range ps {
		if !ps[i].exception && (ps[i].matches(dir) || ps[i].mayMatchBelow(dir)) {
			return true
		}
	}
	return false
}
