package model_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/merge"
	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

func build(t *testing.T, text string, o model.Options) *types.Project {
	t.Helper()
	root := canonical(t, text)
	if o.Name == "" {
		o.Name = "x"
	}
	p, errs := model.Build(root, o)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return p
}

// Each row is a service a of two files, the second of which is in /other, and the path that becomes of it.
func TestPathsStartWhereTheyAreWritten(t *testing.T) {
	for _, c := range []struct{ base, over, path, want string }{
		{`{build: {context: b}}`, `{}`, "services.a.build.context", "/base/b"},
		{`{build: {context: b}}`, `{build: {context: c}}`, "services.a.build.context", "/other/c"},
		{`{build: {context: b}}`, `{build: {dockerfile: c}}`, "services.a.build.context", "/base/b"},
		{`{build: {dockerfile: b}}`, `{}`, "services.a.build.context", "/base"},
		{`{build: {context: "https://x/y.git"}}`, `{}`, "services.a.build.context", "https://x/y.git"},
		{`{build: {context: git@x:y.git}}`, `{}`, "services.a.build.context", "git@x:y.git"},
		{`{build: {context: github.com/x/y}}`, `{}`, "services.a.build.context", "github.com/x/y"},
		{`{build: {context: "oci-layout://x"}}`, `{}`, "services.a.build.context", "oci-layout://x"},
		{`{build: {additional_contexts: {n: ../b, m: "service:a"}}}`, `{}`, "services.a.build.additional_contexts.n", "/b"},
		{`{build: {additional_contexts: {n: ../b, m: "service:a"}}}`, `{}`, "services.a.build.additional_contexts.m", "service:a"},
		{`{volumes: ["./b:/b"]}`, `{volumes: ["./c:/c"]}`, "services.a.volumes.0.source", "/base/b"},
		{`{volumes: ["./b:/b"]}`, `{volumes: ["./c:/c"]}`, "services.a.volumes.1.source", "/other/c"},
		{`{volumes: ["~/b:/b"]}`, `{}`, "services.a.volumes.0.source", "/home/me/b"},
		{`{volumes: ['C:\b:/b']}`, `{}`, "services.a.volumes.0.source", `C:\b`},
		{`{volumes: ['\\s\b:/b']}`, `{}`, "services.a.volumes.0.source", `\\s\b`},
		{`{volumes: ["b:/b"]}`, `{}`, "services.a.volumes.0.source", "b"},
		{`{label_file: b}`, `{label_file: c}`, "services.a.label_file.0", "/base/b"},
		{`{label_file: b}`, `{label_file: c}`, "services.a.label_file.1", "/other/c"},
		{`{env_file: /b}`, `{env_file: c}`, "services.a.env_file.0.path", "/b"},
		{`{env_file: /b}`, `{env_file: c}`, "services.a.env_file.1.path", "/other/c"},
		{`{develop: {watch: [{path: b, action: rebuild}]}}`, `{}`, "services.a.develop.watch.0.path", "/base/b"},
		{`{build: {ssh: [k=b]}}`, `{}`, "services.a.build.ssh.0", "k: /base/b"},
		{`{extends: {service: b, file: b}}`, `{}`, "services.a.extends.file", "/base/b"},
	} {
		base := parse(t, "services: {a: "+c.base+"}", "/base", nil)
		over := parse(t, "services: {a: "+c.over+"}", "/other", nil)
		model.Canonical(base)
		model.Canonical(over)
		root, _ := merge.Files(base, over)
		p, errs := model.Build(root, model.Options{Name: "x", Dir: "/dir", Env: map[string]string{"HOME": "/home/me"}, NoEnvResolution: true})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if got, want := pick(t, p, c.path), fmt.Sprintf("%q", c.want); got != want {
			t.Errorf("%s under %s: %s is %s, want %s", c.base, c.over, c.path, got, want)
		}
	}
}

// A build without a context is where it is written, unless it came by way of extends.
func TestMissingContext(t *testing.T) {
	for kind, want := range map[string]string{"included": "/base", "extended": "/"} {
		root := canonical(t, "services: {a: {image: a}}")
		other := parse(t, "{dockerfile: b}", "/base", nil)
		other.Place.File.Via = &tree.Reference{Place: root.Place, Kind: kind}
		root.Get("services").Get("a").Set("build", other.Place, other)
		p, errs := model.Build(root, model.Options{Name: "x", Dir: "/dir"})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if got := p.Services["a"].Build.Context; got != want {
			t.Errorf("%s: the context is %s, want %s", kind, got, want)
		}
	}
}

func TestPathsOfResources(t *testing.T) {
	p := build(t, `
configs: {a: {file: a}, b: {file: 'C:\b'}}
secrets: {a: {file: ~/a}}
volumes: {a: {driver: local, driver_opts: {o: bind, device: a}}, b: {driver: local, driver_opts: {device: b}}, c: {driver_opts: {o: bind, device: c}}}
`, model.Options{Env: map[string]string{"HOME": "/home/me"}})
	for got, want := range map[string]string{
		p.Configs["a"].File:                 "/a",
		p.Configs["b"].File:                 `C:\b`,
		p.Secrets["a"].File:                 "/home/me/a",
		p.Volumes["a"].DriverOpts["device"]: "/a",
		p.Volumes["b"].DriverOpts["device"]: "b",
		p.Volumes["c"].DriverOpts["device"]: "c",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestImplied(t *testing.T) {
	for _, c := range []struct{ text, path, want string }{
		{`{links: [b, "c:d", "e:f:g"]}`, "services.a.depends_on.b", `{"condition":"service_started","required":true,"restart":true}`},
		{`{links: ["c:d"]}`, "services.a.depends_on.c.condition", `"service_started"`},
		{`{links: ["e:f:g"]}`, "services.a.depends_on.e:f:g.restart", `true`},
		{`{links: [b], depends_on: {b: {condition: service_healthy}}}`, "services.a.depends_on.b.condition", `"service_healthy"`},
		{`{volumes_from: ["b:ro"]}`, "services.a.depends_on.b", `{"condition":"service_started","required":true}`},
		{`{volumes_from: ["container:b"]}`, "services.a.depends_on", `null`},
		{`{network_mode: "service:b"}`, "services.a.depends_on.b.restart", `true`},
		{`{ipc: "service:b"}`, "services.a.depends_on.b.restart", `true`},
		{`{pid: "service:b"}`, "services.a.depends_on.b.restart", `true`},
		{`{uts: "service:b"}`, "services.a.depends_on.b.restart", `true`},
		{`{network_mode: "service:b"}`, "networks", `null`},
		{`{image: a}`, "networks.default.name", `"x_default"`},
		{`{networks: {n: }}`, "networks", `null`},
		{`{provider: {type: p}}`, "networks", `null`},
		{`{build: .}`, "services.a.build.dockerfile", `"Dockerfile"`},
		{`{build: {dockerfile_inline: a}}`, "services.a.build.dockerfile", `null`},
		{`{pull_policy: if_not_present}`, "services.a.pull_policy", `"missing"`},
		{`{ports: [{target: 1}]}`, "services.a.ports.0", `{"mode":"ingress","protocol":"tcp","target":1}`},
		{`{secrets: [s]}`, "services.a.secrets.0.target", `"/run/secrets/s"`},
		{`{gpus: [{driver: d}]}`, "services.a.gpus.0.count", `-1`},
		{`{gpus: [{count: 0}]}`, "services.a.gpus.0.count", `null`},
		{`{gpus: [{count: all, device_ids: ["1"]}]}`, "services.a.gpus.0.count", `-1`},
		{`{deploy: {resources: {reservations: {devices: [{count: 0}]}}}}`, "services.a.deploy.resources.reservations.devices.0.count", `null`},
		{`{gpus: [{device_ids: ["1"]}]}`, "services.a.gpus.0.count", `null`},
		{`{volumes: ["/a/../b:/c/"]}`, "services.a.volumes.0.target", `"/c"`},
	} {
		p := build(t, "services: {a: "+c.text+"}", model.Options{})
		if got := pick(t, p, c.path); got != c.want {
			t.Errorf("%s: %s is %s, want %s", c.text, c.path, got, c.want)
		}
	}
}

func TestLeftOut(t *testing.T) {
	text := `services: {a: {build: {context: b}, links: [b], env_file: missing, environment: {A: }}, b: {image: b}}`
	p := build(t, text, model.Options{NoNormalize: true, NoPathResolution: true, NoEnvResolution: true, Env: map[string]string{"A": "a"}})
	got, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	want := `name: x
services:
  a:
    links:
      - b
    environment:
      A: null
    env_file:
      - path: missing
    build:
      context: b
  b:
    image: b
`
	if string(got) != want {
		t.Errorf("got\n%s", got)
	}
}

func TestVariablesThatAreNotReplaced(t *testing.T) {
	text := `services: {a: {image: "$$I", cpus: "$$C", init: "$$I", ports: ["$$P:80", "81"], volumes: ["$${V:-a:b}:/v"], env_file: "$$E", ulimits: {nofile: "$$U"}}}`
	root := parse(t, text, "/", nil)
	model.Canonical(root)
	p, errs := model.Build(root, model.Options{Name: "x", NoInterpolate: true})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if got := pick(t, p, "services.a.ports.1.target"); got != "81" {
		t.Errorf("the port is %s", got)
	}
	if got := pick(t, p, "services.a.volumes.0.source"); got != `"${V:-a:b}"` {
		t.Errorf("the volume is %s", got)
	}
	if _, errs := model.Build(root, model.Options{Name: "x", NoEnvResolution: true}); len(errs) == 0 {
		t.Error("no mistake where variables should have been replaced")
	}
}

func TestResourceNames(t *testing.T) {
	p := build(t, `{networks: {a: , b: {name: n}, c: {external: true}, d: {external: true, name: n}}, volumes: {a: }}`, model.Options{})
	for key, want := range map[string]string{"a": "x_a", "b": "n", "c": "c", "d": "n"} {
		if got := p.Networks[key].Name; got != want {
			t.Errorf("the network %s has the name %s, want %s", key, got, want)
		}
	}
	if got := p.Volumes["a"].Name; got != "x_a" {
		t.Errorf("the volume is named %s", got)
	}
}

// A service that a profile keeps out is not read files for, until it is let in.
func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	root := parse(t, `{services: {a: {image: a}, b: {image: b, profiles: [p], env_file: b.env}}, jobs: {j: {image: j, profiles: [p]}}}`, dir, nil)
	model.Canonical(root)
	o := model.Options{Name: "x", Dir: dir}
	p, errs := model.Build(root, o)
	if len(errs) > 0 || len(p.Services) != 1 || len(p.DisabledServices) != 1 || len(p.DisabledJobs) != 1 {
		t.Fatalf("%v, %d services are on and %d off", errs, len(p.Services), len(p.DisabledServices))
	}
	p, err := p.WithServicesEnabled("b")
	if err != nil {
		t.Fatal(err)
	}
	if errs := model.ReadFiles(p, root, o, "b"); len(errs) != 1 {
		t.Errorf("%d mistakes, want one: the file does not exist", len(errs))
	}
	write(t, dir, map[string]string{"b.env": "A=a"})
	if errs := model.ReadFiles(p, root, o, "b", "none"); len(errs) > 0 {
		t.Error(errs)
	}
	if got := pick(t, p, "services.b.environment"); got != `{"A":"a"}` {
		t.Errorf("the environment is %s", got)
	}
	o.Profiles = []string{"*"}
	if p, errs := model.Build(root, o); len(errs) > 0 || len(p.Services) != 2 || len(p.Jobs) != 1 {
		t.Errorf("%v, %d services", errs, len(p.Services))
	}
}

// Build leaves the tree as it is.
func TestBuildKeepsTheTree(t *testing.T) {
	files, _ := filepath.Glob("testdata/oracle/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := filepath.Abs(filepath.Dir(file))
		root := parse(t, string(text), dir, nil)
		model.Canonical(root)
		before := root.Clone()
		if _, errs := model.Build(root, model.Options{Name: "x", Dir: dir, Profiles: []string{"*"}}); len(errs) > 0 {
			t.Fatal(errs)
		}
		if !tree.Equal(root, before) {
			t.Errorf("%s: the tree was changed", file)
		}
	}
}

// A value of an included file is resolved with the variables of that file.
func TestEnvironmentOfIncludedFiles(t *testing.T) {
	root := parse(t, `{services: {a: {image: a, build: {args: [V]}, environment: [V, W]}}, secrets: {s: {environment: V}}, configs: {c: {environment: V}}}`, "/",
		map[string]string{"V": "included"})
	model.Canonical(root)
	p, errs := model.Build(root, model.Options{Name: "x", Env: map[string]string{"V": "outer", "W": "outer"}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	for what, got := range map[string]string{
		"environment": *p.Services["a"].Environment["V"],
		"an argument": *p.Services["a"].Build.Args["V"],
		"a secret":    p.Secrets["s"].Content,
		"a config":    p.Configs["c"].Content,
	} {
		if got != "included" {
			t.Errorf("%s has %q", what, got)
		}
	}
	if got := *p.Services["a"].Environment["W"]; got != "outer" {
		t.Errorf("W is %q", got)
	}
}

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"bad.env": "OK=1\n%X=2\n", "dir/x": ""})
	for _, c := range []struct{ text, want string }{
		{`cpu_count: two`, `2:14: "two" is not a whole number`},
		{`cpu_count: 1.5e30`, `2:14: "1.5e+30" is not a whole number`},
		{`cpus: many`, `2:9: "many" is not a number`},
		{`init: perhaps`, `2:9: "perhaps" is neither true nor false`},
		{`mem_limit: lots`, `2:14: "lots" is not a size`},
		{`stop_grace_period: long`, `2:22: "long" is not a duration`},
		{`umask: "09"`, `2:10: "09" is not a umask`},
		{`secrets: [{source: s, mode: "8"}]`, `2:31: "8" is not a file mode`},
		{`gpus: [{count: few}]`, `2:18: "few" is not a number of devices`},
		{`blkio_config: {weight: 70000}`, `2:26: 70000 is above 65535`},
		{`scale: [1]`, `2:10: what stands here must be a whole number, not a list`},
		{`image: {}`, `2:10: what stands here must be a string, not a mapping`},
		{`cap_add: x`, `2:12: what stands here must be a list, not a string`},
		{`deploy: x`, `2:11: what stands here must be a mapping, not a string`},
		{`ports: [what]`, `2:11: what stands here must be a mapping, not a string`},
		{`environment: [A , "B =b"]`, `2:21: the name "B " ends with a space`},
		{`environment: x`, `2:16: what stands here must be a mapping or a list, not a string`},
		{`command: "a 'b"`, `2:12: the command "a 'b" cannot be split into words: invalid command line string`},
		{`extra_hosts: [h]`, `2:17: "h" has no address`},
		{`extra_hosts: {"a:b": c}`, `2:24: "a:b" is not the name of a host`},
		{`build: {ssh: [a]}`, `2:16: one of the SSH keys has no path`},
		{`volumes: [{type: bind, target: /a}]`, `2:13: a mount of the type bind has no source`},
		{`env_file: missing`, `2:13: env file DIR/missing does not exist`},
		{`env_file: [{path: missing, format: x}]`, `2:21: env file DIR/missing does not exist`},
		{`env_file: [{path: bad.env, format: x}]`, `2:38: the format "x" of env files is not known`},
		{`env_file: bad.env`, `bad.env 2:1: "%" cannot be in the name of a variable [%X=2]`},
		{`env_file: dir`, `2:13: cannot read the env file DIR/dir: is a directory`},
		{`label_file: missing`, `2:15: label file DIR/missing does not exist`},
		{`pre_start: [{cpus: x}]`, `2:22: "x" is not a number`},
		{`{cpus: a, scale: b}`, `2:9: "a" is not a number; 2:19: "b" is not a whole number`},
	} {
		root := parse(t, "services: {a:\n {"+strings.TrimPrefix(strings.TrimSuffix(c.text, "}"), "{")+closing(c.text)+"}}", dir, nil)
		model.Canonical(root)
		p, errs := model.Build(root, model.Options{Name: "x", Dir: dir})
		if got := strings.ReplaceAll(lines(errs), dir, "DIR"); got != c.want || p != nil {
			t.Errorf("%s: got  %s\nwant %s", c.text, got, c.want)
		}
	}
}

// closing is the brace that the text lost, if it does not stand in braces as a whole.
func closing(text string) string {
	if !strings.HasPrefix(text, "{") && strings.HasSuffix(text, "}") {
		return "}"
	}
	return ""
}

func lines(errs []model.Error) string {
	var out []string
	for _, e := range errs {
		if e.Rule == "" {
			out = append(out, "no rule")
		}
		line := fmt.Sprintf("%d:%d: %s", e.Place.Line, e.Place.Col, e.Problem)
		if e.Quote != "" {
			line = fmt.Sprintf("%s %s [%s]", filepath.Base(e.Place.File.Name), line, e.Quote)
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func TestTwoNamesOfAnExternal(t *testing.T) {
	root := canonical(t, "networks:\n  a: {external: {name: b}, name: c}\n")
	_, errs := model.Build(root, model.Options{Name: "x"})
	if got := lines(errs); got != "2:17: external.name and name are not the same" {
		t.Errorf("got %s", got)
	}
}

// Many services may name one env file.
func TestNoticesOfEnvFilesOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a.env": "OK=1\nA=$NOWHERE\n"})
	root := parse(t, "services:\n  a:\n    image: a\n    env_file: a.env\n  b:\n    image: b\n    env_file: a.env\n", dir, nil)
	model.Canonical(root)
	var notices []model.Notice
	o := model.Options{Name: "x", Dir: dir, Notice: func(n model.Notice) { notices = append(notices, n) }}
	if _, errs := model.Build(root, o); len(errs) > 0 {
		t.Fatal(errs)
	}
	if len(notices) != 1 {
		t.Fatalf("%d notices", len(notices))
	}
	n := notices[0]
	if n.Name != "NOWHERE" || n.Place.Line != 2 || n.Quote != "A=$NOWHERE" || n.Place.File.Via.Line != 4 {
		t.Errorf("got %+v", n)
	}
}
