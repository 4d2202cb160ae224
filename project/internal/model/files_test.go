package model

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// Each service that names an env file has its own copy of it, with variables replaced. A small file and some services must not
// take all memory.
func TestFilesOfAllServicesAreBounded(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := 1; i < 4000; i++ {
		fmt.Fprintf(&text, "A%d=${A%d}xxx\n", i, i-1)
	}
	path := filepath.Join(dir, "a.env")
	if err := os.WriteFile(path, []byte("A0=x\n"+text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	at := tree.Place{File: &tree.File{Name: "compose.yaml", Dir: dir}, Line: 1, Col: 1}
	services := tree.NewMap(at)
	for i := range 20 {
		service, files := tree.NewMap(at), &tree.Value{Kind: tree.List, Place: at}
		files.Items = []*tree.Value{tree.NewText(path, at)}
		service.Set("env_file", at, files)
		services.Set(fmt.Sprintf("s%d", i), at, service)
	}
	root := tree.NewMap(at)
	root.Set("services", at, services)
	Canonical(root)
	_, errs := Build(root, Options{Name: "x", Dir: dir})
	if len(errs) != 1 || errs[0].Rule != variables.RuleLimit || !strings.Contains(errs[0].Problem, "more than 128 MiB") {
		t.Errorf("%d mistakes: %v", len(errs), errs)
	}
}
