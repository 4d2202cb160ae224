package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that was fetched can use what was fetched with it, and nothing else of this machine.
func TestRemoteFilesStayInside(t *testing.T) {
	for name, c := range map[string]struct{ file, at string }{
		"include":                  {"include: [../outside/compose.yaml]\n", "1:11"},
		"include, absolute":        {"include:\n  - OUTSIDE/compose.yaml\n", "2:5"},
		"include, long":            {"include:\n  - path: [in/compose.yaml, ../outside/compose.yaml]\n", "2:29"},
		"include, env file":        {"include:\n  - path: in/compose.yaml\n    env_file: ../outside/x.env\n", "3:15"},
		"include, through":         {"include: [link/compose.yaml]\n", "1:11"},
		"extends":                  {"services:\n  a:\n    image: a\n    extends: {file: ../outside/compose.yaml, service: b}\n", "4:21"},
		"extends, through":         {"services:\n  a:\n    image: a\n    extends: {file: link/compose.yaml, service: b}\n", "4:21"},
		"env file":                 {"services:\n  a:\n    image: a\n    env_file: ../outside/x.env\n", "4:15"},
		"env file, long":           {"services:\n  a:\n    image: a\n    env_file: [{path: OUTSIDE/x.env, required: false}]\n", "4:23"},
		"env file, through":        {"services:\n  a:\n    image: a\n    env_file: link/x.env\n", "4:15"},
		"env file, a link":         {"services:\n  a:\n    image: a\n    env_file: linked.env\n", "4:15"},
		"label file":               {"services:\n  a:\n    image: a\n    label_file: ../outside/x.env\n", "4:17"},
		"of an included file":      {"include: [in/hostile.yaml]\n", "in/hostile.yaml"},
		"by a variable":            {"services:\n  a:\n    image: a\n    env_file: ${UP:-..}/outside/x.env\n", "4:15"},
		"of a service that is off": {"services:\n  a:\n    image: a\n    profiles: [off]\n    env_file: ../outside/x.env\n", "5:15"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			outside := filepath.Join(dir, "outside")
			for path, content := range map[string]string{
				"remote/compose.yaml":    strings.ReplaceAll(c.file, "OUTSIDE", outside),
				"remote/in/compose.yaml": "services:\n  b:\n    image: b\n",
				"remote/in/hostile.yaml": "services:\n  b:\n    image: b\n    env_file: ../../outside/x.env\n",
				"outside/compose.yaml":   "services:\n  b:\n    image: b\n",
				"outside/x.env":          "SECRET=1\n",
				"compose.yaml":           "include: [\"test://x\"]\n",
				"extending.yaml":         "services:\n  mine:\n    extends: {file: \"test://x\", service: a}\n",
			} {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for link, to := range map[string]string{"link": "../outside", "linked.env": "../outside/x.env"} {
				if err := os.Symlink(to, filepath.Join(dir, "remote", link)); err != nil {
					t.Fatal(err)
				}
			}
			for _, main := range []string{filepath.Join(dir, "compose.yaml"), "test://x", filepath.Join(dir, "extending.yaml")} {
				if strings.HasSuffix(main, "extending.yaml") && !strings.Contains(c.file, "  a:") {
					continue
				}
				_, _, err := Load(t.Context(), Options{
					Files: []string{main}, ProjectName: "p", WorkDir: dir, Remotes: []Fetcher{elsewhere{filepath.Join(dir, "remote")}},
				})
				if err == nil || !strings.Contains(err.Error(), "leads out of the remote resource") || !strings.Contains(err.Error(), c.at) {
					t.Errorf("with %s: error is %v", filepath.Base(main), err)
				}
			}
		})
	}
}

// What looks like an address and is none that is fetched is not taken for a path.
func TestUnknownAddress(t *testing.T) {
	for address, want := range map[string]string{
		"https://host/compose.yaml": "https://host/compose.yaml is not fetched; write https://host/repository.git#BRANCH:FOLDER",
		"file:///x.git":             "file:///x.git is not fetched; write the path alone",
	} {
		for _, o := range []Options{{Files: []string{address}}, {Env: map[string]string{"COMPOSE_FILE": address, "COMPOSE_PATH_SEPARATOR": ";"}}} {
			o.WorkDir, o.ProjectName = t.TempDir(), "x"
			if _, _, err := Load(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "cannot read the compose file: "+want) {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
}
