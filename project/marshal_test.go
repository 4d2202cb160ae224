package project

import (
	"encoding/json"
	"testing"

	"gopkg.in/yaml.v3"
)

// The model is the same in YAML and in JSON, and both can be loaded again, with SSH keys, models and extensions.
func TestBothFormsLoadAgain(t *testing.T) {
	text := `
services:
  web:
    image: w:1
    x-own: {a: 1, b: ["<&>", null, 1.5, true]}
    build: {context: /c, ssh: [default, "other=/k: 1"]}
    models: {llm: {endpoint_var: URL}}
    healthcheck: {test: exit, interval: 30s}
    mem_limit: 64m
models: {llm: {model: ai/m}}
`
	p, _ := load(t, map[string]string{"compose.yaml": text}, Options{ProjectName: "x"})
	asYAML, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := p.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var fromYAML, fromJSON map[string]any
	if err := yaml.Unmarshal(asYAML, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(asJSON, &fromJSON); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(fromYAML)
	b, _ := json.Marshal(fromJSON)
	if string(a) != string(b) {
		t.Errorf("YAML says\n%s\nJSON says\n%s", a, b)
	}
	for _, printed := range [][]byte{asYAML, asJSON} {
		again, _ := load(t, map[string]string{"compose.yaml": string(printed)}, Options{ProjectName: "x"})
		if got, err := again.MarshalYAML(); err != nil || string(got) != string(asYAML) {
			t.Errorf("loaded again it is, %v\n%s\nnot\n%s", err, got, asYAML)
		}
	}
}

// A key's path is explained as the model has it.
func TestKeysAreExplained(t *testing.T) {
	p, _ := load(t, map[string]string{"compose.yaml": "services: {web: {build: {context: ., ssh: [a=./k]}}}\n"}, Options{ProjectName: "x"})
	list, err := p.Explain("services.web.build.ssh")
	if err != nil || len(list) != 1 || list[0].Path != "services.web.build.ssh.a" || list[0].Reason != "" {
		t.Errorf("%+v, %v", list, err)
	}
}
