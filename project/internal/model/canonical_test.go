package model_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/model"
	"stackrun.dev/stack/project/internal/tree"
)

// Each row is an attribute of a service and its long form.
var longForms = []struct{ short, long string }{
	{`ports: [80]`, `ports: [{mode: ingress, target: 80, protocol: tcp}]`},
	{`ports: ["8080:80/udp"]`, `ports: [{mode: ingress, target: 80, published: "8080", protocol: udp}]`},
	{`ports: ["127.0.0.1:8080:80"]`, `ports: [{mode: ingress, host_ip: 127.0.0.1, target: 80, published: "8080", protocol: tcp}]`},
	{`ports: ["[::1]::80"]`, `ports: [{mode: ingress, host_ip: "::1", target: 80, protocol: tcp}]`},
	{`ports: ["8-9:1-2"]`, `ports: [{mode: ingress, target: 1, published: "8", protocol: tcp}, {mode: ingress, target: 2, published: "9", protocol: tcp}]`},
	{`ports: ["8080:80"]`, `ports: [{mode: ingress, target: 80, published: "8080", protocol: tcp}]`},
	{`ports: ["08080:080"]`, `ports: [{mode: ingress, target: 80, published: "8080", protocol: tcp}]`},
	{`ports: ["-1", "70000", "1:70000", ":80"]`, `ports: ["-1", "70000", "1:70000", {mode: ingress, target: 80, protocol: tcp}]`},
	{`ports: ["8-9:1"]`, `ports: [{mode: ingress, target: 1, published: 8-9, protocol: tcp}]`},
	{`ports: [{target: 1}, "2", what]`, `ports: [{target: 1}, {mode: ingress, target: 2, protocol: tcp}, what]`},

	{`volumes: ["a:/b/"]`, `volumes: [{type: volume, source: a, target: /b, volume: {}}]`},
	{`volumes: ["a:/b:ro,nocopy"]`, `volumes: [{type: volume, source: a, target: /b, read_only: true, volume: {nocopy: true}}]`},
	{`volumes: [/b]`, `volumes: [{type: volume, target: /b}]`},
	{`volumes: ["./a:/b:z,rslave"]`, `volumes: [{type: bind, source: ./a, target: /b, bind: {selinux: z, propagation: rslave, create_host_path: true}}]`},
	{`volumes: ['C:\a:/b']`, `volumes: [{type: bind, source: 'C:\a', target: /b, bind: {create_host_path: true}}]`},
	{`volumes: ["C:/a:/b"]`, `volumes: [{type: bind, source: "C:/a", target: /b, bind: {create_host_path: true}}]`},
	{`volumes: ["c:/b"]`, `volumes: [{type: volume, source: c, target: /b, volume: {}}]`},
	{`volumes: ["a:::b"]`, `volumes: ["a:::b"]`},

	{`build: ./x`, `build: {context: ./x}`},
	{`build: {provenance: true, sbom: max}`, `build: {provenance: "true", sbom: max}`},
	{`build: {ssh: [default, a=b], additional_contexts: [a=b=c]}`, `build: {ssh: {default: , a: b}, additional_contexts: {a: b=c}}`},
	{`build: {ssh: [a], additional_contexts: [a]}`, `build: {ssh: [a], additional_contexts: [a]}`},
	{`build: {secrets: [a]}`, `build: {secrets: [{source: a}]}`},

	{`depends_on: [a]`, `depends_on: {a: {condition: service_started, required: true}}`},
	{`depends_on: {a: {condition: service_healthy, restart: true}}`, `depends_on: {a: {condition: service_healthy, restart: true, required: true}}`},
	{`env_file: a`, `env_file: [{path: a, required: true}]`},
	{`env_file: [a, {path: b, required: false, format: raw}]`, `env_file: [{path: a, required: true}, {path: b, required: false, format: raw}]`},
	{`label_file: a`, `label_file: [a]`},
	{`dns: [a, "", b]`, `dns: [a, b]`},
	{`dns: ""`, `dns: []`},
	{`networks: [a, b]`, `networks: {a: , b: }`},
	{`models: [a]`, `models: {a: }`},
	{`devices: [/a, "/a:/b:r", "a:b:c:d"]`, `devices: [{source: /a, target: /a, permissions: rwm}, {source: /a, target: /b, permissions: r}, "a:b:c:d"]`},
	{`gpus: all`, `gpus: [{count: all}]`},
	{`{secrets: [a], configs: [b, {source: c}]}`, `{secrets: [{source: a}], configs: [{source: b}, {source: c}]}`},
	{`extends: a`, `extends: {service: a}`},
	{`develop: {watch: [{ignore: a, include: b}]}`, `develop: {watch: [{ignore: [a], include: [b]}]}`},
	{`x-develop: {watch: [{path: a, x-initialSync: true}]}`, `develop: {watch: [{path: a, initial_sync: true}]}`},
	{`{develop: {watch: [{path: b}], x-a: 1}, x-develop: {watch: [{path: a}], x-a: 2, x-b: 3}}`, `develop: {watch: [{path: a}, {path: b}], x-a: 1, x-b: 3}`},
	{`pre_start: [{env_file: a, networks: [b]}]`, `pre_start: [{env_file: [{path: a, required: true}], networks: {b: }}]`},
	{`triggers: {schedule: [a, {cron: b}]}`, `triggers: {schedule: [{cron: a}, {cron: b}]}`},

	{`image: a`, `image: a`},
	{`{command: a b, ulimits: {a: 1}, healthcheck: {test: a}}`, `{command: a b, ulimits: {a: 1}, healthcheck: {test: a}}`},
	{`{ports: , volumes: , build: , depends_on: , env_file: , networks: , dns: }`, `{ports: , volumes: , build: , depends_on: , env_file: , networks: , dns: }`},
}

func TestCanonical(t *testing.T) {
	for _, c := range longForms {
		got := canonical(t, "services:\n  a: "+oneMapping(c.short))
		want := parse(t, "services:\n  a: "+oneMapping(c.long), "/", nil)
		if !tree.Equal(got, want) {
			t.Errorf("%s\nbecomes %s\nwant    %s", c.short, printed(got), printed(want))
		}
	}
}

func oneMapping(s string) string {
	if strings.HasPrefix(s, "{") {
		return s
	}
	return "{" + s + "}"
}

func canonical(t *testing.T, text string) *tree.Value {
	t.Helper()
	root := parse(t, text, "/", nil)
	model.Canonical(root)
	return root
}

// printed shows the tree as JSON, each scalar with its kind.
func printed(v *tree.Value) string {
	text, err := json.Marshal(raw(v))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func raw(v *tree.Value) any {
	switch v.Kind {
	case tree.Map:
		out := make(map[string]any)
		for _, e := range v.Entries {
			out[e.Key] = raw(e.Value)
		}
		return out
	case tree.List:
		out := []any{}
		for _, item := range v.Items {
			out = append(out, raw(item))
		}
		return out
	case tree.Null:
		return nil
	}
	return []any{v.Kind, v.Text}
}

func TestCanonicalResources(t *testing.T) {
	for _, c := range []struct{ short, long string }{
		{`volumes: {a: {external: {name: b}}}`, `volumes: {a: {external: true, name: b}}`},
		{`networks: {a: {external: {name: b}, name: b}}`, `networks: {a: {external: true, name: b}}`},
		{`secrets: {a: {external: {}}}`, `secrets: {a: {external: true}}`},
		{`configs: {a: {external: {name: b}, name: c}}`, `configs: {a: {external: {name: b}, name: c}}`},
		{`include: [a, {path: b}]`, `include: [{path: a}, {path: b}]`},
		{`jobs: {a: {build: b}}`, `jobs: {a: {build: {context: b}}}`},
		{`x-a: {services: {a: {build: b}}}`, `x-a: {services: {a: {build: b}}}`},
		{`{services: , volumes: [a]}`, `{services: , volumes: [a]}`},
	} {
		if got, want := canonical(t, c.short), parse(t, c.long, "/", nil); !tree.Equal(got, want) {
			t.Errorf("%s\nbecomes %s\nwant    %s", c.short, printed(got), printed(want))
		}
	}
}

// Long forms stay, and everything has a place.
func TestCanonicalAgain(t *testing.T) {
	files, err := filepath.Glob("testdata/oracle/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root := canonical(t, string(text))
		places(t, root, file)
		before := root.Clone()
		model.Canonical(root)
		if !tree.Equal(root, before) {
			t.Errorf("%s: the long form has another one", file)
		}
	}
}

func places(t *testing.T, v *tree.Value, path string) {
	t.Helper()
	if v.Place.Line == 0 {
		t.Errorf("%s is nowhere", path)
	}
	for _, item := range v.Items {
		places(t, item, path+"[]")
	}
	for _, e := range v.Entries {
		if e.At.Line == 0 {
			t.Errorf("the key %s.%s is nowhere", path, e.Key)
		}
		places(t, e.Value, path+"."+e.Key)
	}
}

func TestPartsHaveTheItemsPlace(t *testing.T) {
	root := canonical(t, "services:\n  a:\n    ports:\n      - 80\n      - 8080-8081:80-81\n")
	ports := root.Get("services").Get("a").Get("ports")
	for i, line := range []int{4, 5, 5} {
		if e := ports.Items[i].Entry("target"); e.At.Line != line || e.Value.Place.Line != line {
			t.Errorf("the target of port %d is on line %d, want %d", i, e.Value.Place.Line, line)
		}
	}
}
