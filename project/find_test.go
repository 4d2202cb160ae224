package project

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// farAway accepts addresses of one scheme and fetches nothing.
type farAway struct{}

func (farAway) Accepts(address string) bool { return strings.HasPrefix(address, "oci://") }

func (farAway) Fetch(context.Context, string) (root, file string, err error) { return "", "", nil }

func TestFind(t *testing.T) {
	for name, tc := range map[string]struct {
		o       Options
		files   string // relative to the directory
		dir     string
		env     string // the variable A
		envFile string // the env files, relative to the directory
	}{
		"address":               {Options{Files: []string{"oci://a/b"}}, "oci://a/b", ".", "here", ".env"},
		"address, then a file":  {Options{Files: []string{"oci://a/b", "sub/x.yaml"}}, "oci://a/b sub/x.yaml", ".", "here", ".env"},
		"a file, then address":  {Options{Files: []string{"sub/x.yaml", "oci://a/b"}}, "sub/x.yaml oci://a/b", "sub", "sub", "sub/.env"},
		"standard input":        {Options{Files: []string{"-"}, Stdin: strings.NewReader(one)}, "-", ".", "here", ".env"},
		"input, then a file":    {Options{Files: []string{"-", "sub/x.yaml"}, Stdin: strings.NewReader(one)}, "- sub/x.yaml", "sub", "sub", "sub/.env"},
		"project directory":     {Options{ProjectDir: "sub/deep"}, "sub/deep/docker-compose.yml", "sub/deep", "", ""},
		"search from it":        {Options{ProjectDir: "sub/deep/none"}, "sub/deep/docker-compose.yml", "sub/deep/none", "", ""},
		"search upwards":        {Options{WorkDir: "sub/deep/none"}, "sub/deep/docker-compose.yml", "sub/deep", "", ""},
		"empty part in a list":  {Options{Env: map[string]string{"COMPOSE_FILE": "sub/x.yaml:"}}, "sub/x.yaml", "sub", "here", ".env sub/.env"},
		"named env files alone": {Options{Files: []string{"sub/x.yaml"}, EnvFiles: []string{"sub/b.env", "sub/a.env"}}, "sub/x.yaml", "sub", "a", "sub/b.env sub/a.env"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeAll(dir, map[string]string{
				"compose.yaml": one, ".env": "A=here\n", "sub/x.yaml": one, "sub/.env": "A=sub\n", "sub/a.env": "A=a\n", "sub/b.env": "A=b\n",
				"sub/deep/docker-compose.yml": one, "sub/deep/docker-compose.yaml": one, "sub/deep/none/x": "",
			}); err != nil {
				t.Fatal(err)
			}
			tc.o.Remotes = []Fetcher{farAway{}}
			tc.o.WorkDir = filepath.Join(dir, tc.o.WorkDir)
			if tc.o.ProjectDir != "" {
				tc.o.WorkDir = dir
			}
			f, err := find(tc.o)
			if err != nil {
				t.Fatal(err)
			}
			got := [4]string{seenFrom(dir, f.files...), seenFrom(dir, f.dir), f.env["A"], seenFrom(dir, f.envFiles...)}
			if want := [4]string{tc.files, tc.dir, tc.env, tc.envFile}; got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// seenFrom are the paths as seen from the directory.
func seenFrom(dir string, paths ...string) string {
	out := make([]string, len(paths))
	for i, path := range paths {
		out[i] = path
		if filepath.IsAbs(path) {
			out[i], _ = filepath.Rel(dir, path)
		}
	}
	return strings.Join(out, " ")
}
