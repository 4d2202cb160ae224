package lint

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project"
)

func BenchmarkCheck(b *testing.B) {
	var file strings.Builder
	file.WriteString("services:\n")
	for i := range 1000 {
		fmt.Fprintf(&file, "  s%d: {image: nginx, ports: [\"%d:80\"], volumes: [\"/srv:/srv\"], depends_on: [s%d]}\n", i, 10000+i, max(i-1, 0)+(1-min(i, 1))*999)
	}
	dir := b.TempDir()
	write(b, filepath.Join(dir, "compose.yaml"), []byte(strings.ReplaceAll(file.String(), ", depends_on: [s999]", "")))
	p, _, err := project.Load(b.Context(), project.Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if findings, err := Check(b.Context(), p, Options{}); err != nil || len(findings) < 3000 {
			b.Fatal(len(findings), err)
		}
	}
}
