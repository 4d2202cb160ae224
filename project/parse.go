package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/syntax"
	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// The bounds of one file. What is parsed takes some hundred bytes for each value, so that a file takes 400 MB at most.
const (
	maxFileSize  = 8 << 20
	maxMarks     = 1_000_000 // ends of lines and signs that part values
	maxDepth     = 500
	maxDocuments = 1000 // each is merged over all before it
)

var errTooLarge = fmt.Errorf("the file is larger than %d MiB, the most that is read", maxFileSize>>20)

// readFile reads a file of a bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > maxFileSize {
		return nil, errTooLarge
	}
	return readBounded(f)
}

func readBounded(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err == nil && len(content) > maxFileSize {
		return nil, errTooLarge
	}
	return content, err
}

// parseFile is phase 2 for one file. There is a source for each document that is not empty; they come with the errors of
// those that are not good.
func parseFile(file *tree.File, content []byte) ([]*source, Errors) {
	whole := &source{file: file.Name, of: file, content: content}
	if marks(content) > maxMarks {
		return nil, Errors{whole.ruled(variables.RuleLimit, 1, 1, fmt.Sprintf("the file has more than %d lines and values, the most that is read", maxMarks), "")}
	}
	whole.index()
	ascii := isASCII(content)
	var out []*source
	var errs Errors
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for n := 1; ; n++ {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, errs
		}
		if err != nil {
			return out, append(errs, whole.syntaxError(err))
		}
		s := &source{file: file.Name, of: file, content: content, lines: whole.lines}
		if !ascii {
			s.countBytes(&doc)
		}
		if n > maxDocuments {
			problem := fmt.Sprintf("the file has more than %d documents, the most that is read", maxDocuments)
			return out, append(errs, s.ruled(variables.RuleLimit, doc.Line, doc.Column, problem, ""))
		}
		if more := s.document(&doc); len(more) > 0 {
			errs = append(errs, more...)
		} else if s.root != nil {
			out = append(out, s)
		}
	}
}

func marks(content []byte) int {
	n := 0
	for _, c := range content {
		switch c {
		case '\n', ',', ':', '[', '{':
			n++
		}
	}
	return n
}

// document checks what the document is, and that the phases after this one can walk freely in it.
func (s *source) document(doc *yaml.Node) Errors {
	root := resolveAlias(doc.Content[0])
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return Errors{s.ruled("wrong-type", root.Line, root.Column, "a compose file must be a mapping of services, networks and so on", "begin with services:")}
	}
	s.root = root
	return s.checkStructure()
}

// syntaxError says in words of ours what yaml.v3 refuses.
func (s *source) syntaxError(err error) *Error {
	f := syntax.Explain(s.content, err)
	return s.ruled("syntax", f.Line, f.Col, f.Problem, f.Fix)
}
