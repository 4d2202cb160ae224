package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/variables"
)

// parser reads the project's files and those that they include or extend, each once.
type parser struct {
	sources []*source
	seen    map[string]bool
	errors  Errors
}

// parse is phase 2. The sources come in the order of merging; a file that others refer to comes before its first referrer.
func parse(f *found) ([]*source, error) {
	p := &parser{seen: make(map[string]bool)}
	for _, file := range f.files {
		content, inMemory := f.content[file]
		if !inMemory {
			var err error
			if content, err = os.ReadFile(file); err != nil {
				return nil, fmt.Errorf("cannot read the compose file: %w", err)
			}
		}
		p.add(file, content, f.vars)
	}
	if err := p.errors.Sorted(); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(p.sources, func(s *source) bool { return s.root != nil }) {
		return nil, Errors{{Position: Position{File: f.files[0]}, Problem: "the file is empty", Fix: "begin with services:"}}
	}
	return p.sources, nil
}

func (p *parser) add(file string, content []byte, vars variables.Env) {
	if p.seen[file] {
		return
	}
	p.seen[file] = true
	s := newSource(file, content)
	s.vars = vars
	if err := s.parse(); err != nil {
		p.errors = append(p.errors, err)
		return
	}
	if s.root != nil {
		if errs := s.checkStructure(); len(errs) > 0 {
			p.errors = append(p.errors, errs...)
			return
		}
		p.follow(s)
	}
	p.sources = append(p.sources, s)
}

// follow reads local files that s includes or extends. What cannot be read is reported by the merge.
func (p *parser) follow(s *source) {
	dir := filepath.Dir(s.file)
	for _, ref := range references(s.root) {
		if strings.Contains(ref.file, "$") || strings.Contains(ref.file, "://") {
			continue
		}
		path := absolute(ref.file, dir)
		if content, err := os.ReadFile(path); err == nil {
			p.add(path, content, p.envOf(ref, s, filepath.Dir(path)))
		}
	}
}

// envOf is the environment of the file: that of the one which refers to it, and for an included one also what its own env
// files set, which the project's wins over.
func (p *parser) envOf(ref reference, from *source, dir string) variables.Env {
	if !ref.included {
		return from.vars
	}
	files := ref.envFiles
	if len(files) == 0 {
		files = []string{filepath.Join(dir, ".env")}
	}
	env := &envReader{vars: from.vars.Clone(), read: make(map[string]bool)}
	for _, file := range files {
		if env.readFiles(absolute(file, filepath.Dir(from.file))) != nil || len(env.errors) > 0 {
			return from.vars // the merge reports it
		}
	}
	return env.vars
}

// reference is how one file names another.
type reference struct {
	file     string
	included bool     // and not extended
	envFiles []string // of an included one
}

// references are the values of include and of services.*.extends.file.
func references(root *yaml.Node) []reference {
	var out []reference
	if e, ok := child(root, "include"); ok && e.value.Kind == yaml.SequenceNode {
		for _, item := range e.value.Content {
			out = append(out, includes(item)...)
		}
	}
	services, ok := child(root, "services")
	if !ok {
		return out
	}
	for _, service := range resolveAlias(services.value).Content {
		extends, ok := child(service, "extends")
		if !ok {
			continue
		}
		if file, ok := child(extends.value, "file"); ok {
			out = append(out, reference{file: file.value.Value})
		}
	}
	return out
}

// includes reads one entry of include: a path, or a mapping with one or more of them.
func includes(item *yaml.Node) []reference {
	paths, env := item, []string(nil)
	if path, ok := child(item, "path"); ok {
		paths = path.value
	}
	if files, ok := child(item, "env_file"); ok {
		for _, n := range scalars(files.value) {
			env = append(env, n.Value)
		}
	}
	var out []reference
	for _, n := range scalars(paths) {
		out = append(out, reference{n.Value, true, env})
	}
	return out
}

// parse reads the first document; files of several documents are rare, and compose-go merges the others.
func (s *source) parse() *Error {
	var doc, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(s.content))
	err := decoder.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return s.syntaxError(err)
	}
	s.documents = 1
	if !errors.Is(decoder.Decode(&next), io.EOF) {
		s.documents++
	}
	root := resolveAlias(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return s.atNode(root, "a compose file must be a mapping of services, networks and so on", "begin with services:")
	}
	s.root = root
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxError translates what yaml.v3 says. Its line numbers are sometimes those of where the construct began.
func (s *source) syntaxError(err error) *Error {
	text := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	if at, tab := s.tab(); tab && (strings.Contains(text, "cannot start any token") || strings.Contains(text, "tab")) {
		return s.at(at.line, at.col, "a tab cannot be used to indent", "use spaces")
	}
	for line > 1 && strings.TrimSpace(s.line(line)) == "" {
		line--
	}
	col := 1 + len(s.line(line)) - len(strings.TrimLeft(s.line(line), " "))
	return s.at(line, col, "this is not YAML: "+text, "")
}

type place struct{ line, col int }

// tab finds the first tab in the white space that begins a line.
func (s *source) tab() (place, bool) {
	n := 0
	for line := range bytes.Lines(s.content) {
		n++
		rest := bytes.TrimLeft(line, " ")
		if len(rest) > 0 && rest[0] == '\t' && len(bytes.TrimSpace(rest)) > 0 {
			return place{n, 1 + len(line) - len(rest)}, true
		}
	}
	return place{}, false
}
