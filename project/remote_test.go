package project

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// folders is a Fetcher of addresses that begin with "far:", each a folder with a compose.yaml.
type folders struct {
	root    string
	fetched map[string]int
}

func (f *folders) Accepts(address string) bool { return strings.HasPrefix(address, "far:") }

func (f *folders) Fetch(_ context.Context, address string) (root, file string, err error) {
	f.fetched[address]++
	root = filepath.Join(f.root, strings.TrimPrefix(address, "far:"))
	if _, err := os.Stat(root); err != nil {
		return "", "", errors.New("nobody is there")
	}
	return root, filepath.Join(root, "compose.yaml"), nil
}

// far loads a project whose files below "far" are remote resources, one for each folder.
func far(t *testing.T, files map[string]string, o Options) (*Project, *folders, string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	fetcher := &folders{filepath.Join(dir, "far"), make(map[string]int)}
	o.WorkDir, o.ProjectName, o.Remotes = filepath.Join(dir, "here"), "x", []Fetcher{fetcher}
	if err := os.MkdirAll(o.WorkDir, 0o700); err != nil {
		t.Fatal(err)
	}
	p, _, err := Load(t.Context(), o)
	return p, fetcher, dir, err
}

func TestRemote(t *testing.T) {
	const app = "services: {app: {image: app, env_file: app.env, build: ., volumes: ['./data:/data']}}\n"
	for name, tc := range map[string]struct {
		files map[string]string
		o     Options
	}{
		"on the command line": {map[string]string{}, Options{Files: []string{"far:a"}}},
		"included":            {map[string]string{"here/compose.yaml": "include: ['far:a']\n"}, Options{}},
		"included by a variable's name": {map[string]string{"here/compose.yaml": "include: [{path: '${FROM}'}]\n"},
			Options{Env: map[string]string{"FROM": "far:a"}}},
		"extended":             {map[string]string{"here/compose.yaml": "services: {app: {extends: {file: 'far:a', service: app}}}\n"}, Options{}},
		"included from afar":   {map[string]string{"here/compose.yaml": "include: ['far:b']\n", "far/b/compose.yaml": "include: ['far:a', 'far:a']\n"}, Options{}},
		"a file beside it":     {map[string]string{"here/compose.yaml": "include: ['far:b']\n", "far/b/compose.yaml": "include: [../b/a.yaml]\n", "far/b/a.yaml": app, "far/b/app.env": "A=far\n"}, Options{}},
		"under a local file":   {map[string]string{"here/o.yaml": "services: {app: {user: u}}\n"}, Options{Files: []string{"far:a", "o.yaml"}}},
		"its own env file":     {map[string]string{"here/compose.yaml": "include: ['far:c']\n", "far/c/compose.yaml": strings.Replace(app, "image: app", "image: '$IMAGE'", 1), "far/c/.env": "IMAGE=app\n", "far/c/app.env": "A=far\n"}, Options{}},
		"a folder of its host": {map[string]string{"here/compose.yaml": "include: [{path: 'far:a', project_directory: proj}]\n", "here/proj/app.env": "A=far\n"}, Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.files["far/a/compose.yaml"], tc.files["far/a/app.env"] = app, "A=far\n"
			p, fetcher, dir, err := far(t, tc.files, tc.o)
			if err != nil {
				t.Fatal(err)
			}
			s := p.Services["app"]
			if s.Image != "app" || *s.Environment["A"] != "far" {
				t.Errorf("image %s, environment %v", s.Image, s.Environment)
			}
			if !strings.HasPrefix(s.Volumes[0].Source, filepath.Join(dir, "far")) && name != "a folder of its host" {
				t.Errorf("volume %s", s.Volumes[0].Source)
			}
			for address, n := range fetcher.fetched {
				if n != 1 {
					t.Errorf("%s was fetched %d times", address, n)
				}
			}
		})
	}
}

func TestRemoteStaysInside(t *testing.T) {
	local := map[string]string{"here/compose.yaml": "include: ['far:a']\n", "secret.env": "A=secret\n", "secret.yaml": "services: {s: {image: s}}\n"}
	for name, files := range map[string]map[string]string{
		"include":           {"far/a/compose.yaml": "include: [../../secret.yaml]\n"},
		"absolute":          {"far/a/compose.yaml": "include: [/etc/passwd]\n"},
		"several":           {"far/a/compose.yaml": "include: [{path: [ok.yaml, ../../secret.yaml]}]\n", "far/a/ok.yaml": ""},
		"extends":           {"far/a/compose.yaml": "services: {a: {extends: {file: ../../secret.yaml, service: s}}}\n"},
		"env file":          {"far/a/compose.yaml": "include: [{path: ok.yaml, env_file: ../../secret.env}]\n", "far/a/ok.yaml": "services: {a: {image: a}}\n"},
		"folder":            {"far/a/compose.yaml": "include: [{path: ok.yaml, project_directory: ../..}]\n", "far/a/ok.yaml": "services: {a: {image: a}}\n"},
		"service env file":  {"far/a/compose.yaml": "services: {a: {image: a, env_file: [../../secret.env]}}\n"},
		"label file":        {"far/a/compose.yaml": "services: {a: {image: a, label_file: ../../secret.env}}\n"},
		"link":              {"far/a/compose.yaml": "include: [link/secret.yaml]\n"},
		"link to no file":   {"far/a/compose.yaml": "include: [link/none/x.yaml]\n"},
		"inside, then away": {"far/a/compose.yaml": "include: [sub/b.yaml]\n", "far/a/sub/b.yaml": "services: {a: {extends: {file: ../../../secret.yaml, service: s}}}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(writeAll(dir, local), writeAll(dir, files), os.Symlink("../..", filepath.Join(dir, "far/a/link"))); err != nil {
				t.Fatal(err)
			}
			o := Options{WorkDir: filepath.Join(dir, "here"), ProjectName: "x", Remotes: []Fetcher{&folders{filepath.Join(dir, "far"), make(map[string]int)}}}
			_, _, err := Load(t.Context(), o)
			mistake, ok := errors.AsType[*Error](err)
			if !ok || mistake.Rule != "outside-resource" || mistake.Line == 0 || len(mistake.Via) == 0 {
				t.Errorf("error: %v", err)
			}
		})
	}
}

func TestRemoteThatIsNotThere(t *testing.T) {
	_, _, _, err := far(t, map[string]string{"here/compose.yaml": "include:\n  - far:nowhere\n"}, Options{})
	mistake, ok := errors.AsType[*Error](err)
	if !ok || mistake.Line != 2 || !strings.Contains(mistake.Problem, "nobody is there") {
		t.Errorf("error: %v", err)
	}
	if _, _, _, err = far(t, nil, Options{Files: []string{"far:nowhere"}}); err == nil || !strings.Contains(err.Error(), "nobody is there") {
		t.Errorf("error: %v", err)
	}
}

// Every file that the project was read from is known, so that it can be watched.
func TestPaths(t *testing.T) {
	p, _ := load(t, map[string]string{
		"compose.yaml": "include: [{path: [inc/a.yaml, inc/b.yaml], env_file: [inc/1.env, /dev/null]}]\nservices: {s: {extends: {file: base.yaml, service: b}, env_file: s.env, label_file: s.labels}}\n",
		"o.yaml":       "services: {s: {image: s}}\n",
		"inc/a.yaml":   "services: {a: {image: a}}\n", "inc/b.yaml": "services: {a: {user: u}}\n", "inc/1.env": "", "inc/.env": "",
		"base.yaml": "services: {b: {image: b}}\n", "s.env": "", "s.labels": "", ".env": "A=b\n",
	}, Options{Files: []string{"compose.yaml", "o.yaml"}, ProjectName: "x"})
	var names []string
	for _, path := range p.Paths() {
		rel, err := filepath.Rel(p.Dir, path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, rel)
	}
	if got := strings.Join(names, " "); got != ".env base.yaml compose.yaml inc/1.env inc/a.yaml inc/b.yaml o.yaml s.env s.labels" {
		t.Errorf("paths: %s", got)
	}
}

// A project that is elsewhere is called after the directory of who runs it: where it is kept here is called differently for
// each of its commits, and "down" must find what "up" made.
func TestNameOfARemoteProject(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"far/c0ffee/compose.yaml": "services: {a: {image: a}}\n", "far/named/compose.yaml": "name: own\nservices: {a: {image: a}}\n", "here/x": ""}
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{"far:c0ffee": "here", "far:named": "own"} {
		o := Options{WorkDir: filepath.Join(dir, "here"), Files: []string{address}, Remotes: []Fetcher{&folders{filepath.Join(dir, "far"), make(map[string]int)}}}
		p, _, err := Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != want {
			t.Errorf("%s is called %s, not %s", address, p.Name, want)
		}
	}
}

// Who may look at messages, or at the labels that a container gets, need not know the password of the repository.
func TestNoPasswordIsShown(t *testing.T) {
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"far/user:secret@host/compose.yaml": "services: {a: {imaeg: a}}\n", "far/good:secret@host/compose.yaml": "services: {a: {image: a}}\n", "here/x": ""}); err != nil {
		t.Fatal(err)
	}
	load := func(address string) (*Project, error) {
		o := Options{WorkDir: filepath.Join(dir, "here"), Files: []string{address}, Remotes: []Fetcher{&folders{filepath.Join(dir, "far"), make(map[string]int)}}}
		p, _, err := Load(t.Context(), o)
		return p, err
	}
	if _, err := load("far://user:secret@host"); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "far://user:xxxxx@host:1:") {
		t.Errorf("error: %v", err)
	}
	p, err := load("far://good:secret@host")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(append(p.Files, p.ComposeFiles...), " "); strings.Contains(got, "secret") {
		t.Errorf("files: %s", got)
	}
}
