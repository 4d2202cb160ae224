package model_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"

	"gopkg.in/yaml.v3"
)

// Whatever a tree holds, it becomes a project or mistakes; long forms stay; and the tree is not changed by building.
func FuzzBuild(f *testing.F) {
	files, err := filepath.Glob("testdata/oracle/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no test data")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, d := range differences {
		f.Add(d.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var doc yaml.Node
		if strings.ContainsAny(text, "&*") || yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) == 0 {
			return // aliases are the structure's matter
		}
		root, _ := merge.FromNode(doc.Content[0], &tree.File{Dir: "/"}, func(*yaml.Node) (string, []tree.Use) { return "", nil })
		model.Canonical(root)
		before := root.Clone()
		p, errs := model.Build(root, model.Options{Name: "x", Dir: "/", Profiles: []string{"*"}, NoEnvResolution: true})
		if (p == nil) != (len(errs) > 0) {
			t.Errorf("a project and %d mistakes", len(errs))
		}
		if !tree.Equal(root, before) {
			t.Error("Build changed the tree")
		}
		model.Canonical(root)
		if !tree.Equal(root, before) {
			t.Error("the long form has another one")
		}
	})
}
