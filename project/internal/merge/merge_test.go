package merge

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/tree"
)

var files = map[string]*tree.File{"base": {Name: "/p/base.yaml", Dir: "/p"}, "over": {Name: "/p/over.yaml", Dir: "/p"}, "sub": {Name: "/p/sub/x.yaml", Dir: "/p/sub"}}

func read(t *testing.T, file, text string) *tree.Value {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	root, _ := FromNode(doc.Content[0], files[file], func(*yaml.Node) (string, []tree.Use) { return "", nil })
	return root
}

// written is the value on one line.
func written(v *tree.Value) string {
	var parts []string
	switch v.Kind {
	case tree.Null:
		return "null"
	case tree.Map:
		for _, e := range v.Entries {
			parts = append(parts, e.Key+": "+written(e.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case tree.List:
		for _, item := range v.Items {
			parts = append(parts, written(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return v.Text
}

func TestService(t *testing.T) {
	for name, tc := range map[string]struct{ base, over, want string }{
		"scalars":                  {"{image: a, user: u}", "{image: b}", "{image: b, user: u}"},
		"mappings":                 {"{deploy: {replicas: 1, mode: global}}", "{deploy: {replicas: 2}}", "{deploy: {replicas: 2, mode: global}}"},
		"lists":                    {"{group_add: [a, b]}", "{group_add: [b, c]}", "{group_add: [a, b, c]}"},
		"lists of mappings":        {"{post_start: [{command: a, user: u}]}", "{post_start: [{user: u, command: a}, {command: b}]}", "{post_start: [{command: a, user: u}, {command: b}]}"},
		"nothing over something":   {"{deploy: {replicas: 1}}", "{deploy: }", "{deploy: {replicas: 1}}"},
		"something over nothing":   {"{deploy: }", "{deploy: {replicas: 1}}", "{deploy: {replicas: 1}}"},
		"command":                  {"{command: [a, b]}", "{command: [c]}", "{command: [c]}"},
		"no command":               {"{command: [a, b]}", "{command: null}", "{command: null}"},
		"test of a health check":   {"{healthcheck: {test: [a], retries: 1}}", "{healthcheck: {test: [b]}}", "{healthcheck: {test: [b], retries: 1}}"},
		"list over mapping":        {"{environment: {A: 1, B: 2}}", "{environment: [A=3, C]}", "{environment: {A: 3, B: 2, C: null}}"},
		"mapping over list":        {"{labels: [a=1, b]}", "{labels: {b: x=y}}", "{labels: {a: 1, b: x=y}}"},
		"no value over a value":    {"{environment: {A: 1}}", "{environment: {A: }}", "{environment: {A: null}}"},
		"ports":                    {"{ports: [{target: 80, published: 8080, host_ip: 0.0.0.0}]}", "{ports: [{target: 80, published: 8080, protocol: tcp, name: x}, {target: 80}]}", "{ports: [{target: 80, published: 8080, protocol: tcp, name: x}, {target: 80}]}"},
		"ports of other protocols": {"{ports: [{target: 80}]}", "{ports: [{target: 80, protocol: udp}]}", "{ports: [{target: 80}, {target: 80, protocol: udp}]}"},
		"volumes":                  {"{volumes: [{source: a, target: /x}, {target: /y}]}", "{volumes: [{source: b, target: /x}]}", "{volumes: [{source: b, target: /x}, {target: /y}]}"},
		"secrets":                  {"{secrets: [{source: a}]}", "{secrets: [{source: b, target: /run/secrets/a}]}", "{secrets: [{source: b, target: /run/secrets/a}]}"},
		"devices":                  {"{devices: [{source: a, target: x}]}", "{devices: [{source: b, target: x}]}", "{devices: [{source: b, target: x}]}"},
		"aliases of a network":     {"{networks: {n: {aliases: [a]}}}", "{networks: {n: {aliases: [a, b]}, m: }}", "{networks: {n: {aliases: [a, b]}, m: null}}"},
		"one over several":         {"{dns: [a, b]}", "{dns: c}", "{dns: [a, b, c]}"},
		"hosts":                    {"{extra_hosts: {h: [1, 2]}}", "{extra_hosts: ['h=2', 'i=3']}", "{extra_hosts: [h=1, h=2, i=3]}"},
		"limit over limits":        {"{ulimits: {a: {soft: 1, hard: 2}, b: {soft: 1, hard: 2}}}", "{ulimits: {a: 3, b: {soft: 3}}}", "{ulimits: {a: 3, b: {soft: 3, hard: 2}}}"},
		"options of one driver":    {"{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: a, options: {y: 2}}}", "{logging: {driver: a, options: {x: 1, y: 2}}}"},
		"options of any driver":    {"{logging: {driver: a, options: {x: 1}}}", "{logging: {options: {y: 2}}}", "{logging: {driver: a, options: {x: 1, y: 2}}}"},
		"options of two drivers":   {"{logging: {driver: a, options: {x: 1}}}", "{logging: {driver: b}}", "{logging: {driver: b}}"},
		"dependencies":             {"{depends_on: {d: {condition: a, restart: true}}}", "{depends_on: {d: {required: false}, e: {condition: b}}}", "{depends_on: {d: {condition: a, restart: true, required: false}, e: {condition: b}}}"},
		"reset of a value":         {"{image: a, user: u}", "{user: !reset null}", "{image: a}"},
		"reset of nothing":         {"{image: a}", "{user: !reset null}", "{image: a}"},
		"reset deep down":          {"{deploy: {replicas: 1, mode: global}}", "{deploy: {mode: !reset null}}", "{deploy: {replicas: 1}}"},
		"reset of a variable":      {"{environment: {A: 1, B: 2}}", "{environment: {A: !reset null}}", "{environment: {B: 2}}"},
		"reset of an item":         {"{group_add: [a]}", "{group_add: [!reset x, b]}", "{group_add: [a, b]}"},
		"override of a list":       {"{group_add: [a]}", "{group_add: !override [b]}", "{group_add: [b]}"},
		"override of a mapping":    {"{environment: {A: 1, B: 2}}", "{environment: !override {A: 3}}", "{environment: {A: 3}}"},
		"override of a service":    {"{image: a, user: u}", "!override {image: b}", "{image: b}"},
		"YAML's merge":             {"{image: a}", "{<<: {user: u, image: x}, image: b}", "{image: b, user: u}"},
		"the first merge wins":     {"{}", "{<<: [{user: u}, {user: v, init: true}]}", "{user: u, init: true}"},
		"numbers":                  {"{}", "{a: 0x10, b: 1_000, c: 1e3, d: '0x10', e: 010, f: True}", "{a: 16, b: 1000, c: 1000, d: 0x10, e: 8, f: true}"},
	} {
		t.Run(name, func(t *testing.T) {
			base, over := read(t, "base", tc.base), read(t, "over", tc.over)
			before := written(base) + written(over)
			got, errs := Service(base, over)
			if text := written(Clean(got)); text != tc.want || len(errs) > 0 {
				t.Errorf("got %s, want %s; %v", text, tc.want, errs)
			}
			if written(base)+written(over) != before {
				t.Error("what was merged has changed")
			}
		})
	}
}

func TestFiles(t *testing.T) {
	for name, tc := range map[string]struct{ base, over, want string }{
		"pools of one subnet": {"{networks: {n: {ipam: {config: [{subnet: a, gateway: g}, {subnet: b}]}}}}", "{networks: {n: {ipam: {config: [{subnet: a, ip_range: r}]}}}}", "{networks: {n: {ipam: {config: [{subnet: a, gateway: g, ip_range: r}]}}}}"},
		"pools of others":     {"{networks: {n: {ipam: {config: [{subnet: a, gateway: g}]}}}}", "{networks: {n: {ipam: {config: [{subnet: c}]}}}}", "{networks: {n: {ipam: {config: [{subnet: c}]}}}}"},
		"a service goes":      {"{services: {a: {image: a}, b: {image: b}}}", "{services: {a: !reset null}}", "{services: {b: {image: b}}}"},
		"labels of a volume":  {"{volumes: {v: {labels: [a=1]}}}", "{volumes: {v: {labels: {a: 2}}}}", "{volumes: {v: {labels: {a: 2}}}}"},
		"jobs":                {"{jobs: {j: {command: [a]}}}", "{jobs: {j: {command: [b]}}}", "{jobs: {j: {command: [b]}}}"},
	} {
		t.Run(name, func(t *testing.T) {
			got, errs := Files(read(t, "base", tc.base), read(t, "over", tc.over))
			if text := written(Clean(got)); text != tc.want || len(errs) > 0 {
				t.Errorf("got %s, want %s; %v", text, tc.want, errs)
			}
		})
	}
}

// The tags hold once more when a service that extends another one is put over what earlier files say.
func TestTagsHoldTwice(t *testing.T) {
	extending := read(t, "over", "{ports: !reset [], environment: !override {A: 1}, deploy: {mode: !reset x}}")
	once, _ := Service(read(t, "base", "{ports: [{target: 1}], environment: {B: 2}, deploy: {mode: a}}"), extending)
	twice, _ := Service(read(t, "base", "{ports: [{target: 2}], environment: {C: 3}, deploy: {mode: b, replicas: 1}}"), once)
	if got := written(Clean(twice)); got != "{environment: {A: 1}, deploy: {replicas: 1}}" {
		t.Error(got)
	}
	if got := written(Clean(once)); got != "{environment: {A: 1}, deploy: {}}" {
		t.Errorf("what others inherit: %s", got)
	}
}

// The same path in another directory is another file.
func TestPathsInOtherDirectories(t *testing.T) {
	for _, text := range []string{"{env_file: [{path: a}]}", "{label_file: [a]}", "{develop: {watch: [{path: a, action: rebuild}]}}"} {
		for from, want := range map[string]int{"base": 1, "sub": 2} {
			got, _ := Service(read(t, from, text), read(t, "over", text))
			list := got.Entries[0].Value
			if watch := list.Get("watch"); watch != nil {
				list = watch
			}
			if len(list.Items) != want {
				t.Errorf("%s over what %s says: %s", text, from, written(got))
			}
		}
	}
}

func TestBefore(t *testing.T) {
	first, _ := Service(read(t, "base", "{image: a, environment: {A: 1}, volumes: [{source: a, target: /x}]}"), read(t, "over", "{image: b, environment: [A=2], volumes: [{source: b, target: /x}]}"))
	second, _ := Service(first, read(t, "sub", "{image: c}"))
	image := second.Get("image")
	if written(image) != "c" || written(image.Before) != "b" || written(image.Before.Before) != "a" || image.Before.Before.Before != nil {
		t.Error("the history of image is not c, b, a")
	}
	if image.Place.File != files["sub"] || image.Before.Place.File != files["over"] || second.Entry("image").At.File != files["sub"] {
		t.Error("a place is wrong")
	}
	variable := second.Get("environment").Get("A")
	if written(variable) != "2" || written(variable.Before) != "1" {
		t.Error("the history of a variable is not 2, 1")
	}
	if volume := second.Get("volumes").Items[0]; volume.Before == nil || volume.Before.Get("source").Text != "a" {
		t.Error("a volume does not know what it took the place of")
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range [][3]string{
		{"{services: {s: {deploy: {labels: [a]}}}}", "{services: {s: {deploy: [a]}}}", "services.s.deploy cannot be merged: it is a mapping in /p/base.yaml:1:25, and a list here"},
		{"{services: {s: {group_add: [a]}}}", "{services: {s: {group_add: a}}}", "services.s.group_add cannot be merged: it is a list in /p/base.yaml:1:28, and a text here"},
	} {
		_, errs := Files(read(t, "base", tc[0]), read(t, "over", tc[1]))
		if len(errs) != 1 || errs[0].Problem != tc[2] || errs[0].Place.File != files["over"] {
			t.Errorf("got %v, want %s", errs, tc[2])
		}
	}
}

func TestImported(t *testing.T) {
	root := read(t, "over", "{name: x, services: {a: {image: own}, b: {image: b}}}")
	included := read(t, "sub", "{name: y, x-y: 1, services: {a: {image: theirs, user: u}, c: {image: c}}, volumes: {v: {}}}")
	got, errs := Imported(root, included)
	want := "{name: x, services: {a: {image: own, user: u}, c: {image: c}, b: {image: b}}, volumes: {v: {}}}"
	if text := written(got); text != want || len(errs) > 0 {
		t.Errorf("got %s, want %s; %v", text, want, errs)
	}
}

func TestUnique(t *testing.T) {
	root := read(t, "base", "{services: {s: {cap_add: [a, b, a], volumes: [{source: a, target: /x}, {target: /y}, {source: b, target: /x}], group_add: [a, a]}}}")
	Unique(root)
	want := "{services: {s: {cap_add: [a, b], volumes: [{source: b, target: /x}, {target: /y}], group_add: [a, a]}}}"
	if got := written(root); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
