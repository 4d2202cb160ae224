package project

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/variables"
)

// BundleKind is what a file of a bundle is to the project.
type BundleKind string

// The kinds of files in a bundle.
const (
	BundleMain     BundleKind = "main"     // merged in their order
	BundleExtended BundleKind = "extended" // services of other files extend its services
	BundleEnv      BundleKind = "env"      // an env_file
)

// BundleFile is a file as others shall get it. Its name is no path: all files of a bundle are in one folder.
type BundleFile struct {
	Name    string
	Kind    BundleKind
	Content []byte
}

// Bundle returns the project's Compose files, the local files whose services they extend and, if env is set, the services' env
// files. Where a file names another one, it gets that one's name in the bundle; an env file is named so even if it is left out,
// so that nothing tells how this machine's folders are called. Variables stay. What cannot be part of a bundle is an Errors.
func (p *Project) Bundle(env bool) ([]BundleFile, error) {
	b := &bundler{project: p, withEnv: env, names: make(map[string]bool), done: make(map[*yaml.Node]bool)}
	for _, file := range p.Files {
		if !filepath.IsAbs(file) {
			return nil, fmt.Errorf("cannot bundle the compose file %s: it is not a file of this machine", file)
		}
		if err := b.compose(file, p.Dir, filepath.Base(file), BundleMain); err != nil {
			return nil, err
		}
	}
	for len(b.extended) > 0 {
		path := b.extended[0]
		b.extended = b.extended[1:]
		if err := b.compose(path, filepath.Dir(path), bundleName(path, ".yaml"), BundleExtended); err != nil {
			return nil, err
		}
	}
	return b.out, b.errors.Sorted()
}

// bundleName is a name that tells nothing of the path, as Docker Compose makes it.
func bundleName(path, extension string) string {
	return fmt.Sprintf("%x%s", sha256.Sum256([]byte(path)), extension)
}

type bundler struct {
	project  *Project
	withEnv  bool
	source   *source         // the file at hand
	dir      string          // where its paths begin
	edits    []edit          // of it
	names    map[string]bool // of what is in the bundle or will be
	done     map[*yaml.Node]bool
	extended []string // paths of files that have to be added
	out      []BundleFile
	errors   Errors
}

// compose adds a Compose file. It stays as it is written but for the names of other files.
func (b *bundler) compose(path, dir, name string, kind BundleKind) error {
	content, err := readFile(path)
	if err != nil {
		return fmt.Errorf("cannot bundle the compose file: %w", err)
	}
	documents, err := decodeAll(content)
	if err != nil {
		return fmt.Errorf("cannot bundle the compose file %s: %w", path, err)
	}
	b.source, b.dir, b.edits = newSource(path, content), dir, nil
	first := len(b.out)
	for _, doc := range documents {
		if err := b.document(doc.Content[0]); err != nil {
			return err
		}
	}
	b.out = slices.Insert(b.out, first, BundleFile{name, kind, edited(content, b.edits)})
	return nil
}

// edit puts a text in the place of a part of a file.
type edit struct {
	from, to int
	text     string
}

func edited(content []byte, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, content[at:e.from]...), e.text...)
		at = e.to
	}
	return append(out, content[at:]...)
}

// span finds the bytes of a scalar that is written on one line, its quotes included.
func (s *source) span(n *yaml.Node) (from, to int, ok bool) {
	line := s.line(n.Line)
	start := 0
	for range n.Column - 1 { // columns count characters
		_, size := utf8.DecodeRuneInString(line[start:])
		start += size
	}
	for start < len(line) && (line[start] == '&' || line[start] == '!') { // an anchor, a tag
		rest := strings.TrimLeft(strings.TrimLeftFunc(line[start:], func(r rune) bool { return r != ' ' }), " ")
		start = len(line) - len(rest)
	}
	written := n.Value
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.DoubleQuotedStyle:
		written = doubleQuoted.FindString(line[start:])
	case yaml.SingleQuotedStyle:
		written = singleQuoted.FindString(line[start:])
	}
	if written == "" || !strings.HasPrefix(line[start:], written) || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return 0, 0, false
	}
	from = s.lines[n.Line-1] + start
	return from, from + len(written), true
}

var (
	doubleQuoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	singleQuoted = regexp.MustCompile(`'(?:[^']|'')*'`)
)

func decodeAll(content []byte) ([]*yaml.Node, error) {
	var out []*yaml.Node
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, &doc)
	}
}

// document replaces the names of other files.
func (b *bundler) document(root *yaml.Node) error {
	b.includes(root)
	services, ok := child(root, "services")
	if !ok {
		return nil
	}
	for _, service := range resolveAlias(services.value).Content {
		if err := b.service(resolveAlias(service)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bundler) service(service *yaml.Node) error {
	if service.Kind != yaml.MappingNode {
		return nil // its name
	}
	if e, ok := child(service, "extends"); ok {
		if file, ok := child(e.value, "file"); ok {
			b.extends(resolveAlias(file.value))
		}
	}
	e, ok := child(service, "env_file")
	if !ok {
		return nil
	}
	for _, n := range envFileNodes(e.value) {
		if err := b.envFile(n); err != nil {
			return err
		}
	}
	return nil
}

// includes reports included files of this machine, which nobody else has.
func (b *bundler) includes(root *yaml.Node) {
	e, ok := child(root, "include")
	if !ok {
		return
	}
	for _, item := range resolveAlias(e.value).Content {
		if path, ok := child(item, "path"); ok {
			item = path.value
		}
		for _, n := range scalars(resolveAlias(item)) {
			if !b.remote(b.text(n)) {
				b.errors = append(b.errors, b.source.atNode(n, "a file of this machine is included, which nobody else has", "use extends, or publish it too and include its address"))
			}
		}
	}
}

func (b *bundler) extends(n *yaml.Node) {
	path, name, ok := b.local(n, ".yaml")
	if ok && !b.names[name] {
		b.names[name] = true
		b.extended = append(b.extended, path)
	}
}

// envFile replaces the name of an env file, and adds the file if that is asked for and it is there.
func (b *bundler) envFile(n *yaml.Node) error {
	path, name, ok := b.local(n, ".env")
	if !ok || !b.withEnv || b.names[name] {
		return nil
	}
	b.names[name] = true
	content, err := variables.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // one that need not be there: the project was loaded
	}
	if err != nil {
		return fmt.Errorf("cannot bundle the env file: %w", err)
	}
	b.out = append(b.out, BundleFile{name, BundleEnv, content})
	return nil
}

// local replaces the name of a file of this machine by its name in the bundle, and returns its path and that name. It does so
// once, however many aliases lead to it.
func (b *bundler) local(n *yaml.Node, extension string) (path, name string, ok bool) {
	text := b.text(n)
	if b.remote(text) || text == "" || b.done[n] {
		return "", "", false
	}
	b.done[n] = true
	from, to, ok := b.source.span(n)
	if !ok {
		b.errors = append(b.errors, b.source.atNode(n, "the name of this file cannot be replaced by its name in what is published", "write it on one line"))
		return "", "", false
	}
	path = filepath.Clean(absolute(inHome(text, b.project.Env["HOME"]), b.dir))
	name = bundleName(path, extension)
	b.edits = append(b.edits, edit{from, to, name})
	return path, name, true
}

func (b *bundler) text(n *yaml.Node) string {
	x, err := variables.Expand(n.Value, b.project.vars.Lookup, variables.MaxValue)
	if err != nil {
		return n.Value
	}
	return x.Text
}

func (b *bundler) remote(address string) bool {
	return slices.ContainsFunc(b.project.options.Remotes, func(f Fetcher) bool { return f.Accepts(address) })
}

// envFileNodes are the names of files in an env_file in any of its forms.
func envFileNodes(n *yaml.Node) []*yaml.Node {
	n = resolveAlias(n)
	switch n.Kind {
	case yaml.ScalarNode:
		return []*yaml.Node{n}
	case yaml.MappingNode:
		if path, ok := child(n, "path"); ok {
			return []*yaml.Node{resolveAlias(path.value)}
		}
		return nil
	}
	var out []*yaml.Node
	for _, item := range n.Content {
		out = append(out, envFileNodes(item)...)
	}
	return out
}
