package project

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad looks for files that make loading panic. What compose-go makes of a file is an error or a project.
func FuzzLoad(f *testing.F) {
	everything, err := os.ReadFile("testdata/projects/everything.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(everything))
	files, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Files: []string{"-"}, Stdin: strings.NewReader(text), ProjectName: "x", WorkDir: t.TempDir()}
		p, _, err := Load(context.Background(), o)
		if err == nil && p == nil {
			t.Error("neither a project nor an error")
		}
	})
}
