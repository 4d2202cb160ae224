package project

import (
	"fmt"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/schema"
	"stackrun.dev/stack/project/internal/tree"
)

// TestCasts compares with what the reference implementation casts to numbers and booleans.
func TestCasts(t *testing.T) {
	options := loader.ToOptions(&types.ConfigDetails{}, nil)
	for path, reference := range options.Interpolate.TypeCastMapping {
		s := shapes()
		for step := range strings.SplitSeq(strings.Replace(path.String(), "pre_start.*", "pre_start.[]", 1), ".") {
			s = s.step(step)
		}
		if s == nil || s.cast == nil {
			t.Errorf("%s is not cast", path)
			continue
		}
		for _, text := range []string{"0", "1", "-7", "010", "0o10", "0.5", "1e3", "true", "False", "x", "", " 1"} {
			want, wantErr := reference(text)
			var got any
			n := yaml.Node{Kind: yaml.ScalarNode, Value: text}
			err := s.cast.set(&n)
			if (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %q: error %v, want %v", path, text, err, wantErr)
			}
			if err != nil || n.Decode(&got) != nil {
				continue
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %q is %v, want %v", path, text, got, want)
			}
		}
	}
}

// TestShapes finds paths in the tables that lead to nothing.
func TestShapes(t *testing.T) {
	for path := range casts {
		reach(t, path)
	}
	for path := range grammars {
		reach(t, strings.TrimSuffix(path, ".?"))
	}
}

func reach(t *testing.T, path string) {
	t.Helper()
	at := schema.Root()
	for step := range strings.SplitSeq(strings.ReplaceAll(path, "[]", ".[]"), ".") {
		switch step {
		case "[]":
			at = at.Items
		case "*":
			at = at.Named
		default:
			at = at.Fixed(step)
		}
		if at == nil {
			t.Errorf("%s: the specification has no %s there", path, step)
			return
		}
	}
}

// hugeProject has n services with what services have.
func hugeProject(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, `  s%d:
    image: registry.example.com/team/app:%d
    command: ["serve", "--port", "8080"]
    environment: {A: "1", B: b, C: c}
    ports: ["%d:80"]
    volumes: ["data:/data"]
    networks: [front]
    restart: unless-stopped
    mem_limit: 64m
    healthcheck: {test: ["CMD", "true"], interval: 5s, retries: 3}
    labels: {l: m}
`, i, i, 10000+i)
	}
	return b.String() + "networks: {front: }\nvolumes: {data: }\n"
}

func BenchmarkCheck(b *testing.B) {
	sources, errs := parseFile(&tree.File{Name: "compose.yaml"}, []byte(hugeProject(1000)))
	if len(errs) > 0 {
		b.Fatal(errs)
	}
	for b.Loop() {
		if errs, _ := check(sources); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	dir := b.TempDir()
	if err := writeAll(dir, map[string]string{"compose.yaml": hugeProject(1000)}); err != nil {
		b.Fatal(err)
	}
	p, _, err := Load(b.Context(), Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if errs, _ := validate(p); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
