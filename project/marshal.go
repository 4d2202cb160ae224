package project

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// MarshalYAML is the model as a Compose file that can be loaded again.
func (p *Project) MarshalYAML() ([]byte, error) {
	text, err := p.Project.MarshalYAML()
	if err != nil || !p.hasKeys() {
		return text, err
	}
	doc, err := p.document()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return out.Bytes(), e.Close()
}

// MarshalJSON is the same as indented JSON, with the keys in the same order. compose-go's own loses models and extensions of
// services, and fails on SSH keys.
func (p *Project) MarshalJSON() ([]byte, error) {
	doc, err := p.document()
	if err != nil {
		return nil, err
	}
	var compact, out bytes.Buffer
	if err := writeJSON(&compact, doc.Content[0]); err != nil {
		return nil, err
	}
	err = json.Indent(&out, compact.Bytes(), "", "  ")
	return out.Bytes(), err
}

// hasKeys says whether a build names an SSH key.
func (p *Project) hasKeys() bool {
	for _, s := range p.AllServices() {
		if s.Build != nil && len(s.Build.SSH) > 0 {
			return true
		}
	}
	return false
}

// document is what compose-go writes, with SSH keys as they are read: id=path.
func (p *Project) document() (*yaml.Node, error) {
	text, err := p.Project.MarshalYAML()
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("cannot read the model that was just written: %w", err)
	}
	for _, section := range []string{"services", "jobs"} {
		containers, ok := child(doc.Content[0], section)
		if !ok {
			continue
		}
		for _, container := range containers.value.Content {
			build, _ := child(container, "build")
			if build.value == nil {
				continue
			}
			if keys, ok := child(build.value, "ssh"); ok {
				for _, key := range keys.value.Content {
					key.Value, key.Style = strings.Replace(key.Value, ": ", "=", 1), 0
				}
			}
		}
	}
	return &doc, nil
}

// writeJSON writes the node on one line.
func writeJSON(out *bytes.Buffer, n *yaml.Node) error {
	switch n = resolveAlias(n); n.Kind {
	case yaml.MappingNode:
		return writeList(out, "{}", n.Content, 2)
	case yaml.SequenceNode:
		return writeList(out, "[]", n.Content, 1)
	}
	var value any = n.Value
	if n.ShortTag() != "!!str" {
		if err := n.Decode(&value); err != nil {
			return err
		}
	}
	return writeScalar(out, value)
}

// writeList writes the nodes between brackets; step 2: they are keys and values in turn.
func writeList(out *bytes.Buffer, brackets string, nodes []*yaml.Node, step int) error {
	out.WriteByte(brackets[0])
	for i := 0; i < len(nodes); i += step {
		if i > 0 {
			out.WriteByte(',')
		}
		if step == 2 {
			if err := writeScalar(out, nodes[i].Value); err != nil {
				return err
			}
			out.WriteByte(':')
		}
		if err := writeJSON(out, nodes[i+step-1]); err != nil {
			return err
		}
	}
	out.WriteByte(brackets[1])
	return nil
}

// writeScalar leaves "<" and "&" as they are, which belong to no web page.
func writeScalar(out *bytes.Buffer, value any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	out.Truncate(out.Len() - 1) // the line's end
	return nil
}
