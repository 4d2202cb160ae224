package project

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// elsewhere is a Fetcher of one folder.
type elsewhere struct{ dir string }

func (e elsewhere) Accepts(address string) bool { return strings.HasPrefix(address, "test://") }

func (e elsewhere) Fetch(context.Context, string) (root, file string, err error) {
	return e.dir, filepath.Join(e.dir, "compose.yaml"), nil
}

// inFiles writes the files and loads the first one.
func inFiles(t *testing.T, first string, files map[string]string) (*Project, string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, _, err := Load(t.Context(), Options{
		Files: []string{filepath.Join(dir, first)}, Profiles: []string{"*"}, Env: map[string]string{"PARTS": "parts"},
		Remotes: []Fetcher{elsewhere{filepath.Join(dir, "remote")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func TestBundle(t *testing.T) {
	p, dir := inFiles(t, "compose.yaml", map[string]string{
		"compose.yaml": `# kept
include: ["test://included"]
x-env: &env
  env_file: [a.env]
services:
  a:
    <<: *env
    image: ${IMAGE:-a} # with its comment
    extends: {service: base, "file" : "${PARTS}/base.yaml"}
  b:
    <<: *env
    image: b
    extends: {file: test://elsewhere, service: far}
  c:
    extends: {service: b}
    env_file:
      - path: missing.env
        required: false
      - &e !!str "raw.env"
  d: {labels: {x: "üü"}, image: d, env_file: 'raw.env'}
---
services:
  a:
    user: !reset null
`,
		"parts/base.yaml":     "services:\n  base:\n    image: base\n    user: \"1\"\n    env_file: base.env\n    extends: {file: ../deep.yaml, service: deep}\n",
		"deep.yaml":           "services:\n  deep:\n    init: true\n",
		"parts/base.env":      "BASE=1\n",
		"a.env":               "A=1\n",
		"raw.env":             "RAW=1\n",
		"remote/compose.yaml": "services:\n  far:\n    image: far\n",
	})
	name := func(path, extension string) string {
		return fmt.Sprintf("%x%s", sha256.Sum256([]byte(filepath.Join(dir, path))), extension)
	}
	main := strings.NewReplacer(
		`  env_file: [a.env]`, `  env_file: [`+name("a.env", ".env")+`]`,
		`"${PARTS}/base.yaml"`, name("parts/base.yaml", ".yaml"),
		"missing.env", name("missing.env", ".env"),
		`'raw.env'`, name("raw.env", ".env"),
		`"raw.env"`, name("raw.env", ".env"),
	).Replace(string(mustRead(t, filepath.Join(dir, "compose.yaml"))))
	want := []BundleFile{
		{"compose.yaml", BundleMain, []byte(main)},
		{name("a.env", ".env"), BundleEnv, []byte("A=1\n")},
		{name("raw.env", ".env"), BundleEnv, []byte("RAW=1\n")},
		{name("parts/base.yaml", ".yaml"), BundleExtended, []byte(
			"services:\n  base:\n    image: base\n    user: \"1\"\n    env_file: " + name("parts/base.env", ".env") +
				"\n    extends: {file: " + name("deep.yaml", ".yaml") + ", service: deep}\n")},
		{name("parts/base.env", ".env"), BundleEnv, []byte("BASE=1\n")},
		{name("deep.yaml", ".yaml"), BundleExtended, mustRead(t, filepath.Join(dir, "deep.yaml"))},
	}
	for _, withEnv := range []bool{true, false} {
		got, err := p.Bundle(withEnv)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, w := range want {
			if w.Kind == BundleEnv && !withEnv {
				continue
			}
			if n >= len(got) || got[n].Name != w.Name || got[n].Kind != w.Kind || !bytes.Equal(got[n].Content, w.Content) {
				t.Errorf("file %d is not\n%s %s\n%s", n, w.Name, w.Kind, w.Content)
				if n < len(got) {
					t.Errorf("but\n%s %s\n%s", got[n].Name, got[n].Kind, got[n].Content)
				}
			}
			n++
		}
		if n != len(got) {
			t.Errorf("%d files, want %d", len(got), n)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestBundleRefusesWhatOthersDoNotHave(t *testing.T) {
	p, _ := inFiles(t, "compose.yaml", map[string]string{
		"compose.yaml": "include:\n  - other.yaml\n  - path: [test://x, other.yaml]\nservices:\n  a:\n    image: a\n",
		"other.yaml":   "services: {}\n", "remote/compose.yaml": "services: {}\n",
	})
	_, err := p.Bundle(false)
	if err == nil || strings.Count(err.Error(), "a file of this machine is included") != 2 || !strings.Contains(err.Error(), "compose.yaml:2:5") || !strings.Contains(err.Error(), "compose.yaml:3:22") {
		t.Errorf("error is %v", err)
	}
}

func TestDisclosures(t *testing.T) {
	p, dir := inFiles(t, "compose.yaml", map[string]string{
		"compose.yaml": `services:
  a:
    image: a
    environment:
      DB_PASSWORD: literal
      API_KEY: ${API_KEY:-}
      ACCESS_TOKEN:
      PLAIN: literal
      DB_PASSWORD_FILE: /run/secrets/db
    env_file: a.env
    volumes: [./site:/site, data:/data]
configs:
  c: {content: literal}
  d: {content: "${PARTS}"}
secrets:
  s: {file: ./secret}
volumes:
  data:
`,
		"a.env": "", "secret": "",
	})
	for env, want := range map[bool]string{false: "is not published", true: "is published with all"} {
		var got []string
		for _, w := range p.Disclosures(env) {
			got = append(got, strings.TrimPrefix(w.String(), dir+"/"))
		}
		text := strings.Join(got, "\n")
		for _, part := range []string{"compose.yaml:11:15: the mount of ./site", "compose.yaml:5:20: the value of DB_PASSWORD", "compose.yaml:10:15: the env file a.env " + want, "compose.yaml:13:16: the content", "compose.yaml:16:13: the file ./secret"} {
			if !strings.Contains(text, part) {
				t.Errorf("there is no %q in\n%s", part, text)
			}
		}
		if len(got) != 5 {
			t.Errorf("%d disclosures, want 5:\n%s", len(got), text)
		}
	}
}
