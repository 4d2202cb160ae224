package project

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"stackrun.dev/stack/project/internal/variables"
)

func TestMistakesInEnvFiles(t *testing.T) {
	for text, want := range map[string]string{
		"A=1\nB='unterminated\n": ".env:2:3: the closing ' of this value is missing\n  B='unterminated\n    ^",
		"A=1\nTWO WORDS=1\n":     ".env:2:4: white space in the name of a variable, \"TWO WORDS\"\n  TWO WORDS=1\n     ^",
		"A=x ${B:?set B}":        ".env:1:5: the variable B is required and not set: set B\n  A=x ${B:?set B}\n      ^",
	} {
		dir := t.TempDir()
		if err := writeAll(dir, map[string]string{"compose.yaml": one, ".env": text}); err != nil {
			t.Fatal(err)
		}
		_, _, err := Load(t.Context(), Options{WorkDir: dir})
		mistake, ok := errors.AsType[*Error](err)
		if !ok || mistake.Rule == "" || mistake.Fix == "" || !strings.HasPrefix(err.Error(), dir+"/"+want) {
			t.Errorf("%q: got  %v\nwant %s", text, err, want)
		}
	}
}

func TestNoticesOfEnvFiles(t *testing.T) {
	files := map[string]string{"compose.yaml": one, ".env": "A=pa$word\nB=$NO\n"}
	_, warnings := load(t, files, Options{})
	if len(warnings) != 2 || !strings.Contains(warnings[0].String(), "/.env:1:5: the variable word is not set") || !strings.Contains(warnings[1].String(), "/.env:2:3: the variable NO") {
		t.Errorf("warnings %v", warnings)
	}
	dir := t.TempDir()
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(t.Context(), Options{WorkDir: dir, Strict: true})
	var mistakes Errors
	if !errors.As(err, &mistakes) || len(mistakes) != 2 || mistakes[1].Rule != variables.RuleUnset || mistakes[1].Col != 3 {
		t.Errorf("strict: %v", err)
	}
}

func TestEnvFilesThatCannotBeRead(t *testing.T) {
	for want, o := range map[string]Options{
		"cannot read the env file: open DIR/no.env: no such file":                         {EnvFiles: []string{"no.env"}},
		"cannot read the env file: open /home/u/no.env: no such file":                     {EnvFiles: []string{"~/no.env"}, Env: map[string]string{"HOME": "/home/u"}},
		"cannot read the env file: read DIR/sub: is a directory":                          {EnvFiles: []string{"sub"}},
		"cannot read the env file: open DIR/b.env: no such file":                          {Env: map[string]string{"COMPOSE_ENV_FILES": ".env, b.env"}},
		"COMPOSE_DISABLE_ENV_FILE=maybe is neither true nor false":                        {Env: map[string]string{"COMPOSE_DISABLE_ENV_FILE": "maybe"}},
		"cannot read the compose file that COMPOSE_FILE names (environment): stat DIR/no": {Env: map[string]string{"COMPOSE_FILE": "compose.yaml:no"}},
	} {
		dir := t.TempDir()
		if err := writeAll(dir, map[string]string{"compose.yaml": one, ".env": "A=1\n", "sub/x": ""}); err != nil {
			t.Fatal(err)
		}
		o.WorkDir = dir
		if _, _, err := Load(t.Context(), o); err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A default .env that nobody asked for and that may not even be looked at is left out with a warning, as by Docker Compose.
func TestForbiddenDefaultEnvFile(t *testing.T) {
	r := newEnvReader(nil, false)
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if err := r.readDefault(dir); err != nil || len(r.warnings) != 1 {
			t.Errorf("warnings %v, %v", r.warnings, err)
		}
	})
}

// asNobody does something with files as somebody who may do nothing with root's. The thread ends with it.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				t.Error(err)
			}
		}
		do()
	}()
	<-done
}

func TestEnvFilesAreAmongThePaths(t *testing.T) {
	p, _ := load(t, map[string]string{"compose.yaml": one, ".env": "", "sub/.env": "", "sub/x": ""}, Options{WorkDir: "sub"})
	var got []string
	for _, path := range p.Paths() {
		name, _ := filepath.Rel(p.Dir, path)
		got = append(got, name)
	}
	if strings.Join(got, " ") != ".env compose.yaml sub/.env" {
		t.Errorf("paths %v", got)
	}
}

// Where the variables come from that several files and the environment set.
func TestOriginsOfVariables(t *testing.T) {
	p, _ := load(t, map[string]string{
		"compose.yaml": one, ".env": "A=env\nB=env\n", "sub/.env": "A=sub\nB=sub\n\nC=sub\n",
	}, Options{WorkDir: "sub", Env: map[string]string{"A": "shell"}})
	for name, want := range map[string]string{"A": "shell environment", "B": "sub sub/.env:2", "C": "sub sub/.env:4"} {
		origin, _ := filepath.Rel(filepath.Dir(p.Files[0]), p.Origin(name))
		if !strings.Contains(p.Origin(name), "/") {
			origin = p.Origin(name)
		}
		if got := fmt.Sprintf("%s %s", p.Env[name], origin); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
