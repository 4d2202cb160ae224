package project

import (
	"strings"
	"testing"
)

// 0 leaves the choice to the engine, so that it is never taken, and a service may have many containers.
func TestPortZeroIsFree(t *testing.T) {
	const text = "services:\n  a: {image: a, scale: 2, ports: ['0:80', '127.0.0.1:0:81', {target: 82, published: '0'}]}\n  b: {image: b, ports: ['0:80']}\n"
	load(t, map[string]string{"compose.yaml": text}, Options{ProjectName: "x"})
}

func TestPortWithoutTarget(t *testing.T) {
	const text = "services:\n  a:\n    image: a\n    ports:\n    - '80'\n    - {published: '80'}\n"
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"compose.yaml": text}); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
	if err == nil || !strings.Contains(err.Error(), "compose.yaml:6:7: a published port has no target") {
		t.Errorf("error: %v", err)
	}
}
