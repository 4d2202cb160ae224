package project

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever is in the file, there is an answer and no panic.
func TestStrangeFiles(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", i-1), 9), ", "))
	}
	for name, text := range map[string]string{
		"empty":              "",
		"comment":            "# nothing\n",
		"null":               "null\n",
		"no services":        "networks: {}\n",
		"null services":      "services:\n",
		"list of services":   "services: []\n",
		"null service":       "services: {web: }\n",
		"own alias":          "services: &s\n  web: *s\n",
		"alias in list":      "x-a: &a [*a]\nservices: {web: {image: a, command: *a}}\n",
		"merge of a scalar":  "services: {web: {<<: 3, image: a}}\n",
		"merge of itself":    "services: {web: &w {<<: *w, image: a}}\n",
		"key that is a list": "services: {web: {? [a] : b, image: a}}\n",
		"number as a key":    "services: {web: {image: a, environment: {1: b}}}\n",
		"number as a name":   "services: {1: {image: a}}\n",
		"binary":             "\x00\x01\x02",
		"invalid UTF-8":      "services: {web: {image: \"\xff\"}}\n",
		"bomb":               bomb + "services: {web: {image: a, command: *j}}\n",
		"deep":               strings.Repeat("{a: ", 5000) + strings.Repeat("}", 5000),
		"time":               "services: {web: {image: a, environment: {D: 2001-01-01}}}\n",
		"several documents":  "services: {web: {image: a}}\n---\nservices: {db: {image: b}}\n",
		"null list":          "services: {web: {image: a, ports: , volumes: , environment: , networks: , depends_on: }}\n",
		"includes itself":    "include: [compose.yaml]\nservices: {web: {image: a}}\n",
		"extends itself":     "services: {web: {image: a, extends: web}}\n",
		"brace":              "services: {web: {image: '${'}}\n",
		"nested variables":   "services: {web: {image: '" + strings.Repeat("${A:-", 200) + "x" + strings.Repeat("}", 200) + "'}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeAll(dir, map[string]string{"compose.yaml": text}); err != nil {
				t.Fatal(err)
			}
			p, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
			if err == nil && p == nil {
				t.Fatal("neither a project nor an error")
			}
			if _, ok := errors.AsType[*Error](err); err != nil && !ok {
				t.Errorf("not the user's mistake: %v", err)
			}
			if err != nil && len(err.Error()) > 5000 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
		})
	}
}

// Files that are nothing but mistakes get as many messages as somebody may read, and soon.
func TestManyMistakes(t *testing.T) {
	const n = 10_000
	for name, line := range map[string]string{
		"unknown keys": "    wrong%d: x\n", "undefined names": "  s%[1]d: {image: a, networks: [nobody%[1]d], depends_on: [none%[1]d]}\n",
	} {
		var text strings.Builder
		text.WriteString("services:\n  web:\n    image: a\n")
		for i := range n {
			fmt.Fprintf(&text, line, i)
		}
		file := filepath.Join(t.TempDir(), "compose.yaml")
		writeInput(t, file, text.String())
		start := time.Now()
		_, _, err := Load(t.Context(), Options{Files: []string{file}, ProjectName: "x"})
		if got := len(err.(Errors)); got != mostNotices+1 || !strings.Contains(err.Error(), "more mistakes than 200") { //nolint:errorlint // Load returns it as it is
			t.Errorf("%s: %d mistakes: %.300v", name, got, err)
		}
		t.Logf("%s: %v", name, time.Since(start))
	}
}
