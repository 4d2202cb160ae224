package programs

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// script puts a shell script at the path, which writes its arguments to the log beside it.
func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$*\" >> "+path+".log\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func calls(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path + ".log")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// place is a folder with a PATH and a Docker configuration of its own.
func place(t *testing.T) (dir string, r *Runner) {
	dir = t.TempDir()
	env := map[string]string{"PATH": filepath.Join(dir, "bin") + ":/bin:/usr/bin", "DOCKER_CONFIG": filepath.Join(dir, "docker"), "A": "b"}
	return dir, New(env, "unix:///engine.sock")
}

func up(options ...desired.Option) *plan.RunProvider {
	op := &plan.RunProvider{Project: "p", Provider: desired.Provider{Type: "cloud", Options: options}, Do: plan.ProviderUp}
	op.Service = "db"
	return op
}

const talks = `case "$*" in *" up "*)
echo '{"type":"info","message":"one\\nmore"}'
echo '{"type":"debug","message":"not shown"}{"type":"setenv","message":"URL=http://x?a=b"}'
echo '{"type":"rawsetenv","message":"HOST='"$DOCKER_HOST$A"'"}' ;;
esac
`

func TestAProviderTellsVariables(t *testing.T) {
	dir, r := place(t)
	path := filepath.Join(dir, "bin/cloud")
	script(t, path, `[ "$2" = metadata ] && exit 1`+"\n"+talks)
	var said []string
	v, err := r.Provide(t.Context(), up(desired.Option{Name: "size", Value: "1"}, desired.Option{Name: "size", Value: "2 3"}), func(s string) { said = append(said, s) })
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(v.Prefixed, map[string]string{"URL": "http://x?a=b"}) || !maps.Equal(v.Raw, map[string]string{"HOST": "unix:///engine.sockb"}) {
		t.Errorf("variables: %v", v)
	}
	if !slices.Equal(said, []string{"one"}) {
		t.Errorf("said: %q", said)
	}
	if got := calls(t, path); !slices.Equal(got, []string{"compose metadata", "compose --project-name=p up --size=1 --size=2 3 db"}) {
		t.Errorf("calls: %q", got)
	}
}

// A provider that says which options it knows gets no others, and has to be given those that it needs.
func TestAProviderSaysWhatItKnows(t *testing.T) {
	dir, r := place(t)
	path := filepath.Join(dir, "docker/cli-plugins/docker-cloud")
	script(t, path, `[ "$2" = metadata ] && echo '{"description":"d","up":{"parameters":[{"name":"size","required":true}]},"down":{}}'`+"\ntrue\n")
	script(t, filepath.Join(dir, "bin/cloud"), "exit 1\n") // the plugin comes first
	if _, err := r.Provide(t.Context(), up(desired.Option{Name: "other", Value: "1"}), nil); err == nil || err.Error() != "provider cloud of service db needs the option size" {
		t.Errorf("error: %v", err)
	}
	if _, err := r.Provide(t.Context(), up(desired.Option{Name: "other", Value: "1"}, desired.Option{Name: "size", Value: "2"}), nil); err != nil {
		t.Error(err)
	}
	stop := up()
	stop.Do = plan.ProviderStop
	if _, err := r.Provide(t.Context(), stop, nil); err != nil {
		t.Error(err)
	}
	if got := calls(t, path); !slices.Equal(got, []string{"compose metadata", "compose metadata", "compose --project-name=p up --size=2 db", "compose metadata"}) {
		t.Errorf("calls: %q", got)
	}
}

func TestAProviderFails(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`echo '{"type":"error","message":"no money"}'; echo more`, "no money"},
		{`echo '{"type":"error","message":"no money"}'; exit 3`, "no money"},
		{`echo "disk full" >&2; exit 3`, "up of provider cloud failed: exit status 3: disk full"},
		{`echo hello`, "cannot understand the provider: invalid character"},
		{`echo '{"type":"setenv","message":"URL"}'`, `cannot understand the provider: the variable "URL" is not of the form NAME=value`},
		{`echo '{"type":"shout","message":"URL"}'`, `cannot understand the provider: it sent a message of type "shout"`},
	} {
		dir, r := place(t)
		script(t, filepath.Join(dir, "bin/cloud"), `[ "$2" = metadata ] && exit 1`+"\n"+c.text+"\n")
		if _, err := r.Provide(t.Context(), up(), nil); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

func TestAProviderEndsWithTheContext(t *testing.T) {
	dir, r := place(t)
	script(t, filepath.Join(dir, "bin/cloud"), `[ "$2" = metadata ] && exit 1`+"\n"+`echo '{"type":"info","message":"ready"}'; exec sleep 100`+"\n")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Provide(ctx, up(), func(string) { cancel() })
	if err == nil || ctx.Err() == nil {
		t.Errorf("error: %v", err)
	}
}

func TestAModelIsServed(t *testing.T) {
	for _, c := range []struct {
		there, version string
		calls          []string
		err            string
	}{
		{there: "ai/other", version: "v1.0.6", calls: []string{"ls --json", "pull ai/big", "docker-cli-plugin-metadata", "configure --context-size 512 ai/big -- --fast", "status --json"}},
		{there: "ai/big", version: "v1.0.6", calls: []string{"ls --json", "docker-cli-plugin-metadata", "configure --context-size 512 ai/big -- --fast", "status --json"}},
		{there: "ai/big", version: "v1.0.5", calls: []string{"ls --json", "docker-cli-plugin-metadata"}, err: "model llm has runtime_flags, for which the model runner is too old: it is 1.0.5 and must be 1.0.6"},
	} {
		dir, r := place(t)
		if r.ModelRunner() != "" {
			t.Skip("this machine has a model runner of its own")
		}
		path := filepath.Join(dir, "docker/cli-plugins/docker-model")
		script(t, path, `case "$1" in
ls) echo '[{"tags":["`+c.there+`"]}]';;
pull) echo half; echo; echo done;;
status) echo '{"endpoint":"http://runner"}';;
docker-cli-plugin-metadata) echo '{"Version":"`+c.version+`"}';;
esac
`)
		op := &plan.ServeModel{Model: desired.Model{Key: "llm", Model: "ai/big", ContextSize: 512, RuntimeFlags: []string{"--fast"}}}
		var said []string
		endpoint, err := r.Serve(t.Context(), op, func(s string) { said = append(said, s) })
		if c.err == "" && (err != nil || endpoint != "http://runner") || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Errorf("endpoint %q, error %v", endpoint, err)
		}
		if got := calls(t, path); !slices.Equal(got, c.calls) {
			t.Errorf("calls: %q", got)
		}
		if c.there == "ai/other" && !slices.Equal(said, []string{"half", "done"}) {
			t.Errorf("said: %q", said)
		}
	}
}

func TestProgramsThatAreNotThere(t *testing.T) {
	dir, r := place(t)
	if err := os.MkdirAll(filepath.Join(dir, "bin/cloud"), 0o755); err != nil { // a folder is no program
		t.Fatal(err)
	}
	if got := r.Provider("cloud"); got != "" {
		t.Errorf("found %s", got)
	}
	if _, err := r.Provide(t.Context(), up(), nil); err == nil || !strings.Contains(err.Error(), "cannot find the program of provider cloud") {
		t.Errorf("error: %v", err)
	}
	extra := filepath.Join(dir, "extra")
	script(t, filepath.Join(extra, "docker-cloud"), "")
	if err := os.MkdirAll(filepath.Join(dir, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker/config.json"), []byte(`{"cliPluginsExtraDirs":["`+extra+`"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := r.Provider("cloud"); got != filepath.Join(extra, "docker-cloud") {
		t.Errorf("found %q", got)
	}
}
