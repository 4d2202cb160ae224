package project

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMerged(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"compose.yaml": `name: m
include: [sub/compose.yaml]
services:
  a:
    image: a:${TAG}
    ports: ["${PORT}:80"]
    mem_limit: ${MEMORY}
    build: {context: ., additional_contexts: {x: ../y, z: "docker-image://z", s: "service:b"}}
    volumes: [./data:/data, data:/vol, "${DIR}/x:/x"]
    env_file: a.env
volumes: {data: }
`,
		"sub/compose.yaml": "services:\n  b:\n    image: b\n    build: github.com/b/b\n    env_file: [{path: b.env, required: false}]\n    volumes: [./b:/b]\nsecrets: {s: {file: ./s}}\n",
	}
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	for relative, base := range map[bool]string{false: dir + "/", true: ""} {
		m, _, err := LoadMerged(t.Context(), Options{Files: []string{filepath.Join(dir, "compose.yaml")}, NoPathResolution: relative})
		if err != nil {
			t.Fatal(err)
		}
		text, err := m.MarshalYAML()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"name: m\n", "image: a:${TAG}\n", "- ${PORT}:80\n", "mem_limit: ${MEMORY}\n", "path: " + base + "a.env\n", "path: " + base + "sub/b.env\n",
			"source: " + base + "sub/b\n", "source: data\n", "source: ${DIR}/x\n", "file: " + base + "sub/s\n", "context: github.com/b/b\n",
			"z: docker-image://z\n", "s: service:b\n",
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("relative %v: there is no %q in\n%s", relative, want, text)
			}
		}
		if strings.Contains(string(text), "include") {
			t.Errorf("include is left in\n%s", text)
		}
	}
}
