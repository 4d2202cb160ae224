package project

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

const one = "services: {web: {image: one}}\n"

func image(p *Project) string { return p.Services["web"].Image }

func TestDefaultFiles(t *testing.T) {
	two := strings.Replace(one, "one", "two", 1)
	for name, tc := range map[string]struct {
		files map[string]string
		o     Options
		want  string
		from  string // the files that were read
	}{
		"compose.yaml wins":      {map[string]string{"compose.yaml": two, "docker-compose.yml": one}, Options{}, "two", "compose.yaml"},
		"docker-compose.yml":     {map[string]string{"docker-compose.yml": one}, Options{}, "one", "docker-compose.yml"},
		"override by itself":     {map[string]string{"compose.yaml": one, "compose.override.yaml": two}, Options{}, "two", "compose.yaml compose.override.yaml"},
		"-f has no override":     {map[string]string{"compose.yaml": one, "compose.override.yaml": two}, Options{Files: []string{"compose.yaml"}}, "one", "compose.yaml"},
		"several -f":             {map[string]string{"a": one, "b": two}, Options{Files: []string{"a", "b"}}, "two", "a b"},
		"parent folder":          {map[string]string{"compose.yaml": one, "sub/x": ""}, Options{WorkDir: "sub"}, "one", "compose.yaml"},
		"COMPOSE_FILE":           {map[string]string{"a": one, "b": two}, Options{Env: map[string]string{"COMPOSE_FILE": "a:b"}}, "two", "a b"},
		"COMPOSE_PATH_SEPARATOR": {map[string]string{"a": one, "b": two}, Options{Env: map[string]string{"COMPOSE_FILE": "a,b", "COMPOSE_PATH_SEPARATOR": ","}}, "two", "a b"},
		"COMPOSE_FILE in .env":   {map[string]string{"compose.yaml": one, "b": two, ".env": "COMPOSE_FILE=b\n"}, Options{}, "two", "b"},
		"standard input":         {map[string]string{}, Options{Files: []string{"-"}, Stdin: strings.NewReader(one)}, "one", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.ProjectName = "x"
			p, _ := load(t, tc.files, tc.o)
			var from []string
			for _, f := range p.Files {
				from = append(from, filepath.Base(f))
			}
			if image(p) != tc.want || strings.Join(from, " ") != tc.from {
				t.Errorf("image %s from %v", image(p), from)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	_, _, err := Load(t.Context(), Options{WorkDir: t.TempDir()})
	if !errors.Is(err, ErrNoFile) {
		t.Errorf("error: %v", err)
	}
}

func TestProjectName(t *testing.T) {
	named := "name: in-file\n" + one
	for name, tc := range map[string]struct {
		files map[string]string
		o     Options
		want  string
	}{
		"option":         {map[string]string{"compose.yaml": named, ".env": "COMPOSE_PROJECT_NAME=dotenv"}, Options{ProjectName: "opt"}, "opt"},
		"env":            {map[string]string{"compose.yaml": named, ".env": "COMPOSE_PROJECT_NAME=dotenv"}, Options{Env: map[string]string{"COMPOSE_PROJECT_NAME": "env"}}, "env"},
		".env":           {map[string]string{"compose.yaml": named, ".env": "COMPOSE_PROJECT_NAME=dotenv"}, Options{}, "dotenv"},
		"file":           {map[string]string{"compose.yaml": named}, Options{}, "in-file"},
		"file, variable": {map[string]string{"compose.yaml": "name: ${N}\n" + one, ".env": "N=from-variable"}, Options{}, "from-variable"},
		"directory":      {map[string]string{"My App/compose.yaml": one}, Options{WorkDir: "My App"}, "myapp"},
	} {
		t.Run(name, func(t *testing.T) {
			if p, _ := load(t, tc.files, tc.o); p.Name != tc.want {
				t.Errorf("name %s", p.Name)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	text := "services: {web: {image: '${A}-${B}-${C:-c}', command: 'echo $$X $MISSING'}}\n"
	p, warnings := load(t, map[string]string{"compose.yaml": text, ".env": "A=file\nB=file\n", "other.env": "B=other\n"},
		Options{ProjectName: "x", Env: map[string]string{"A": "env"}, EnvFiles: []string{".env", "other.env"}})
	if image(p) != "env-other-c" {
		t.Errorf("image %s", image(p))
	}
	if got := strings.Join(p.Services["web"].Command, " "); got != "echo $X" {
		t.Errorf("command %q", got)
	}
	if len(warnings) != 1 || warnings[0].Line != 1 || warnings[0].Col != 65 || !strings.Contains(warnings[0].Text, "MISSING") {
		t.Errorf("warnings %v", warnings)
	}
}

func TestEnvFileErrorNamesTheLine(t *testing.T) {
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"compose.yaml": one, ".env": "A=1\nB='unterminated\n"}); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(t.Context(), Options{WorkDir: dir})
	mistake, ok := errors.AsType[*Error](err)
	if !ok || mistake.Line != 2 || !strings.HasSuffix(mistake.File, ".env") {
		t.Errorf("error: %v", err)
	}
}

func TestProfilesAndSelection(t *testing.T) {
	text := "services:\n  web: {image: w, depends_on: [db]}\n  db: {image: d}\n  debug: {image: g, profiles: [dev], depends_on: [db]}\n"
	files := map[string]string{"compose.yaml": text}
	names := func(p *Project) string { return strings.Join(p.ServiceNames(), " ") }
	p, _ := load(t, files, Options{})
	if names(p) != "db web" {
		t.Errorf("without profile: %s", names(p))
	}
	for _, o := range []Options{{Profiles: []string{"dev"}}, {Profiles: []string{"*"}}, {Env: map[string]string{"COMPOSE_PROFILES": "x,dev"}}} {
		if on, _ := load(t, files, o); names(on) != "db debug web" {
			t.Errorf("%v: %s", o, names(on))
		}
	}
	for want, services := range map[string][]string{"db web": {"web"}, "db debug": {"debug"}, "db": {"db"}} {
		if s, err := p.Select(services, false); err != nil || names(s) != want {
			t.Errorf("%v: %s, %v", services, names(s), err)
		}
	}
	if s, err := p.Select([]string{"web"}, true); err != nil || names(s) != "web" {
		t.Errorf("alone: %v", err)
	}
	if _, err := p.Select([]string{"wbe"}, false); err == nil || !strings.Contains(err.Error(), `did you mean "web"?`) {
		t.Errorf("error: %v", err)
	}
}

func TestIncludeAndExtends(t *testing.T) {
	p, _ := load(t, map[string]string{
		"compose.yaml":   "include: [sub/other.yaml]\nservices:\n  web:\n    extends: {file: base.yaml, service: base}\n    depends_on: [db]\n    ports: !override ['1:1']\n",
		"base.yaml":      "services: {base: {image: one, ports: ['2:2']}}\n",
		"sub/.env":       "IMAGE=d\n",
		"sub/other.yaml": "services: {db: {image: '${IMAGE:?}', volumes: ['./x:/x']}}\n",
	}, Options{ProjectName: "x"})
	if image(p) != "one" || p.Services["db"].Image != "d" || len(p.Services["web"].Ports) != 1 || !strings.HasSuffix(p.Services["db"].Volumes[0].Source, "/sub/x") {
		t.Errorf("%+v", p.Services)
	}
}
