package memory

import (
	"fmt"
	"strings"
)

// The shell understands what test images run: simple commands joined by ; && || & and newlines, single and double
// quotes, variables, redirections to and from files and between the streams. There are no pipes, loops or conditions.

// statement is a command and what follows it: ";", "&&", "||" or "&".
type statement struct {
	words     []word
	redirects []redirect
	then      string
}

// redirect sends a stream to a file (">", ">>", "<") or to another stream (">&").
type redirect struct {
	stream int
	op     string
	target word
}

// word is text, in pieces: variables are expanded where they stand.
type word []piece

type piece struct {
	text     string
	variable bool // text is the name of a variable
	quoted   bool // an empty piece counts
}

// parse reads a script.
func parse(script string) ([]statement, error) {
	p := parser{rest: script}
	var all []statement
	current := statement{}
	for {
		p.skipBlanks()
		if p.rest == "" {
			return append(all, current), nil
		}
		if op := p.separator(); op != "" {
			current.then = op
			all = append(all, current)
			current = statement{}
			continue
		}
		r, ok, err := p.redirect()
		if err != nil {
			return nil, err
		}
		if ok {
			current.redirects = append(current.redirects, r)
			continue
		}
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		current.words = append(current.words, w)
	}
}

type parser struct{ rest string }

func (p *parser) skipBlanks() { p.rest = strings.TrimLeft(p.rest, " \t") }

// take removes the first of the prefixes that the rest begins with.
func (p *parser) take(prefixes ...string) string {
	for _, prefix := range prefixes {
		if strings.HasPrefix(p.rest, prefix) {
			p.rest = p.rest[len(prefix):]
			return prefix
		}
	}
	return ""
}

func (p *parser) separator() string {
	op := p.take("&&", "||", ";", "&", "\n")
	if op == "\n" {
		return ";"
	}
	return op
}

func (p *parser) redirect() (redirect, bool, error) {
	r := redirect{stream: -1}
	switch op := p.take("2>>", "2>&", "2>", "1>>", "1>&", "1>", ">>", ">&", ">", "<"); op {
	case "":
		return r, false, nil
	default:
		r.op = strings.TrimLeft(op, "12")
		switch {
		case op[0] == '2':
			r.stream = 2
		case op[0] == '<':
			r.stream = 0
		default:
			r.stream = 1
		}
	}
	p.skipBlanks()
	target, err := p.word()
	if err == nil && len(target) == 0 {
		err = fmt.Errorf("syntax error: nothing follows %s", r.op)
	}
	r.target = target
	return r, true, err
}

func (p *parser) word() (word, error) {
	var w word
	for p.rest != "" && !strings.ContainsRune(" \t\n;&|<>", rune(p.rest[0])) {
		pieces, err := p.piece()
		if err != nil {
			return nil, err
		}
		w = append(w, pieces...)
	}
	if len(w) == 0 && p.rest != "" {
		return nil, fmt.Errorf("syntax error near %q", p.rest[:1])
	}
	return w, nil
}

func (p *parser) piece() ([]piece, error) {
	switch p.rest[0] {
	case '\'':
		text, rest, ok := strings.Cut(p.rest[1:], "'")
		if !ok {
			return nil, fmt.Errorf("syntax error: unterminated quoted string")
		}
		p.rest = rest
		return []piece{{text: text, quoted: true}}, nil
	case '"':
		return p.doubleQuoted()
	case '$':
		return []piece{p.variable(false)}, nil
	case '\\':
		text := p.rest[1:min(2, len(p.rest))]
		p.rest = p.rest[1+len(text):]
		return []piece{{text: text, quoted: true}}, nil
	}
	end := strings.IndexAny(p.rest, " \t\n;&|<>'\"$\\")
	if end < 0 {
		end = len(p.rest)
	}
	text := p.rest[:end]
	p.rest = p.rest[end:]
	return []piece{{text: text}}, nil
}

func (p *parser) doubleQuoted() ([]piece, error) {
	p.rest = p.rest[1:]
	pieces := []piece{{quoted: true}}
	for {
		end := strings.IndexAny(p.rest, `"$`)
		if end < 0 {
			return nil, fmt.Errorf("syntax error: unterminated quoted string")
		}
		pieces = append(pieces, piece{text: p.rest[:end], quoted: true})
		p.rest = p.rest[end:]
		if p.take(`"`) != "" {
			return pieces, nil
		}
		pieces = append(pieces, p.variable(true))
	}
}

// variable reads $NAME, ${NAME}, $? and $$. A dollar alone stands for itself.
func (p *parser) variable(quoted bool) piece {
	p.rest = p.rest[1:]
	if p.take("{") != "" {
		if name, rest, ok := strings.Cut(p.rest, "}"); ok {
			p.rest = rest
			return piece{text: name, variable: true, quoted: quoted}
		}
	}
	if special := p.take("?", "$"); special != "" {
		return piece{text: special, variable: true, quoted: quoted}
	}
	end := 0
	for end < len(p.rest) && nameByte(p.rest[end]) {
		end++
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	if name == "" {
		return piece{text: "$", quoted: quoted}
	}
	return piece{text: name, variable: true, quoted: quoted}
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// expand replaces variables. An unquoted word that is empty afterwards is none.
func (w word) expand(value func(name string) string) (string, bool) {
	var out strings.Builder
	quoted := false
	for _, p := range w {
		quoted = quoted || p.quoted
		if p.variable {
			out.WriteString(value(p.text))
		} else {
			out.WriteString(p.text)
		}
	}
	return out.String(), quoted || out.Len() > 0
}
