package model_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/model"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// differences are where compose-go is wrong against the specification. It fails on the text, panics, or has something else
// than want at the path.
var differences = []struct{ reason, text, path, want string }{
	{
		"a label's name may begin with x-; it is no extension",
		`services: {a: {image: a, labels: {x-team: b}}}`,
		"services.a.labels.x-team", `"b"`,
	},
	{
		"so may a variable's",
		`services: {a: {image: a, environment: {x-y: b}}}`,
		"services.a.environment.x-y", `"b"`,
	},
	{
		"and a network's",
		`{services: {a: {image: a, networks: {x-net: {aliases: [b]}}}}, networks: {x-net: {}}}`,
		"services.a.networks.x-net.aliases", `["b"]`,
	},
	{
		"a volume's name may have one letter; a drive of Windows has another path behind it",
		`services: {a: {image: a, volumes: ["v:/x"]}}`,
		"services.a.volumes.0", `{"source":"v","target":"/x","type":"volume","volume":{}}`,
	},
	{
		"the same with options",
		`services: {a: {image: a, volumes: ["v:/x:ro"]}}`,
		"services.a.volumes.0", `{"read_only":true,"source":"v","target":"/x","type":"volume","volume":{}}`,
	},
	{
		"a weight may be a text, as a variable makes it",
		`services: {a: {image: a, blkio_config: {weight: "300", weight_device: [{path: /dev/a, weight: "400"}]}}}`,
		"services.a.blkio_config.weight", `300`,
	},
	{
		"a size may be a number with an exponent, which YAML reads as a fraction",
		`services: {a: {image: a, mem_limit: 1e9, memswap_limit: 2e9, shm_size: 1.0e6}}`,
		"services.a.mem_limit", `"1000000000"`,
	},
	{
		"the mode of a tmpfs may be a text, in octal",
		`services: {a: {image: a, volumes: [{type: tmpfs, target: /t, tmpfs: {mode: "1777", size: 1g}}]}}`,
		"services.a.volumes.0.tmpfs.mode", `1023`,
	},
	{
		"an additional context may be a number",
		`services: {a: {build: {additional_contexts: {n: 5, t: true, none: }}}}`,
		"services.a.build.additional_contexts.n", `"/dir/5"`,
	},
	{
		"the path of an SSH key may be a number or a boolean",
		`services: {a: {build: {ssh: {n: 5, t: true, none: }}}}`,
		"services.a.build.ssh", `["n: /dir/5","t: /dir/true","none"]`,
	},
	{
		"an empty pid or umask is none",
		`services: {a: {image: a, pid: , umask: }}`,
		"services.a.image", `"a"`,
	},
	{
		"limits of a build may be texts, like those of a container",
		`services: {a: {build: {ulimits: {nofile: "5", nproc: {soft: "1", hard: "2"}}}}}`,
		"services.a.build.ulimits.nofile", `5`,
	},
	{
		"what is passed on to a driver may be a fraction",
		`{services: {a: {image: a}}, secrets: {s: {driver: d, driver_opts: {f: 1.5}}}}`,
		"secrets.s.driver_opts.f", `"1.5"`,
	},
	{
		"an option of storage too",
		`services: {a: {image: a, storage_opt: {f: 1.5}}}`,
		"services.a.storage_opt.f", `"1.5"`,
	},
	{
		"the defaults of a container are also those of a pre_start hook",
		`services: {a: {image: a, pre_start: [{command: a, secrets: [s]}]}}`,
		"services.a.pre_start.0.secrets.0.target", `"/run/secrets/s"`,
	},
	{
		"so that it creates the path of a bind mount",
		`services: {a: {image: a, pre_start: [{command: a, volumes: [{type: bind, source: /a, target: /b, bind: {}}]}]}}`,
		"services.a.pre_start.0.volumes.0.bind", `{}`,
	},
	{
		"and asks for all GPUs",
		`services: {a: {image: a, pre_start: [{command: a, gpus: [{driver: d}]}]}}`,
		"services.a.pre_start.0.gpus.0.count", `-1`,
	},
	{
		"an env_file may be raw",
		`services: {a: {image: a, env_file: [{path: raw.env, format: raw}]}}`,
		"services.a.environment", `{"A":"\"$B\" # c"}`,
	},
	{
		"a model's name may begin with x-",
		`{services: {a: {image: a, models: [x-m]}}, models: {x-m: {model: m}}}`,
		"services.a.models", `{"x-m":null}`,
	},
}

func TestDifferences(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"raw.env": "A=\"$B\" # c\n"})
	for _, d := range differences {
		root := parse(t, d.text, dir, nil)
		model.Canonical(root)
		p, errs := model.Build(root, model.Options{Name: "x", Dir: dir})
		if len(errs) > 0 {
			t.Errorf("%s: %v", d.reason, errs)
			continue
		}
		want := strings.ReplaceAll(d.want, "/dir", dir)
		if got := pick(t, p, d.path); got != want {
			t.Errorf("%s: %s is %s, want %s", d.reason, d.path, got, want)
		}
		if theirs, err := tryOracle(t, d.text, dir); err == nil && pick(t, theirs, d.path) == want {
			t.Errorf("%s: compose-go says so too", d.reason)
		}
	}
}

// tryOracle is compose-go's model; it panics on some values that the specification allows.
func tryOracle(t *testing.T, text, dir string) (p *types.Project, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	details := types.ConfigDetails{WorkingDir: dir, ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "c"), Content: []byte(text)}}}
	return loader.LoadWithContext(t.Context(), details, withoutChecks)
}

// pick is a part of the model, as JSON.
func pick(t *testing.T, p *types.Project, path string) string {
	t.Helper()
	var at any
	text, err := p.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &at); err != nil {
		t.Fatal(err)
	}
	for step := range strings.SplitSeq(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[step]
		case []any:
			at = v[int(step[0]-'0')]
		default:
			return "nothing"
		}
	}
	text, err = json.Marshal(at)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
