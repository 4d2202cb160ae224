package project

import (
	"strings"
	"testing"
)

// What a file that is not there would have brought is not missed a second time.
func TestMissingIncludeIsSaidOnce(t *testing.T) {
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"compose.yaml": "include: [nope.yaml]\nservices: {a: {extends: {service: b}}}\n"}); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
	if err == nil || !strings.Contains(err.Error(), "nope.yaml does not exist") || strings.Contains(err.Error(), "cannot extend") {
		t.Errorf("error: %v", err)
	}
}
