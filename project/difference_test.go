package project

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// over is a service in two files, with an attribute of it in each.
func over(base, over string) map[string]string {
	return map[string]string{"a.yaml": "services:\n  s:\n    image: i\n    " + base + "\n", "b.yaml": "services:\n  s:\n    " + over + "\n"}
}

// otherModels are files of which our model is another one than compose-go's on purpose, or of which compose-go makes none.
var otherModels = map[string]struct {
	reason string
	files  map[string]string
	get    func(*Project) any
	want   string
}{
	"a tmpfs is known by its path": {
		"two mounts at one place cannot be; compose-go compares what stands before the first =",
		over("tmpfs: [/run]", "tmpfs: ['/run:size=1m']"),
		func(p *Project) any { return p.Services["s"].Tmpfs }, "[/run:size=1m]",
	},
	"the last of several is the last that is written": {
		"compose-go drops an item of the later file that the earlier one has too, though another one came between",
		over("volumes: [{type: volume, source: one, target: /x}]", "volumes: ['two:/x', {type: volume, source: one, target: /x}]"),
		func(p *Project) any { return p.Services["s"].Volumes[0].Source }, "one",
	},
	"a published port may be a number": {
		"8080 and \"8080\" are the same port",
		over("ports: [{target: 80, published: 8080}]", "ports: ['8080:80']"),
		func(p *Project) any { return len(p.Services["s"].Ports) }, "1",
	},
	"an env file is known by its path": {
		"./a.env and a.env are the same file",
		map[string]string{"a.env": "", "a.yaml": "services: {s: {image: i, env_file: ./a.env}}\n", "b.yaml": "services: {s: {env_file: a.env}}\n"},
		func(p *Project) any { return len(p.Services["s"].EnvFiles) }, "1",
	},
	"pools do not mix": {
		"what is said about one subnet is not said about another; compose-go gives the last base pool's gateway to the new one",
		map[string]string{
			"a.yaml": "services: {s: {image: i}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/24}, {subnet: 10.1.0.0/24, gateway: 10.1.0.1}]}}}\n",
			"b.yaml": "networks: {n: {ipam: {config: [{subnet: 10.2.0.0/24}]}}}\n",
		},
		func(p *Project) any { return *p.Networks["n"].Ipam.Config[0] }, "{10.2.0.0/24   map[] map[]}",
	},
	"pools over none": {
		"compose-go forgets them",
		map[string]string{
			"a.yaml": "services: {s: {image: i}}\nnetworks: {n: {ipam: {config: []}}}\n",
			"b.yaml": "networks: {n: {ipam: {config: [{subnet: 10.2.0.0/24}]}}}\n",
		},
		func(p *Project) any { return len(p.Networks["n"].Ipam.Config) }, "1",
	},
	"ssh keys as lists": {
		"the list is a short form of the mapping, and mappings merge; compose-go refuses",
		over("build: {context: ., ssh: [a=/a]}", "build: {ssh: [b=/b]}"),
		func(p *Project) any { return len(p.Services["s"].Build.SSH) }, "2",
	},
	"all gpus twice": {
		"all is a short form of a list; compose-go refuses",
		over("gpus: all", "gpus: all"),
		func(p *Project) any { return len(p.Services["s"].Gpus) }, "1",
	},
	"build secrets in the short form": {
		"the same secret is not there twice because it is written in two ways",
		over("build: {context: ., secrets: [one]}", "build: {secrets: [one]}"),
		func(p *Project) any { return len(p.Services["s"].Build.Secrets) }, "1",
	},
	"a build's ulimits": {
		"they merge like a container's; compose-go refuses a number over a mapping",
		over("build: {context: ., ulimits: {nofile: {soft: 1, hard: 2}}}", "build: {ulimits: {nofile: 3}}"),
		func(p *Project) any { return p.Services["s"].Build.Ulimits["nofile"].Single }, "3",
	},
	"an included service that is reset": {
		"the tag is there to remove; compose-go leaves the service where no other file than the included one defines it",
		map[string]string{"a.yaml": "include: [b.yaml]\nservices: {s: {image: i}, t: !reset null}\n", "b.yaml": "services: {t: {image: t}}\n"},
		func(p *Project) any { return p.ServiceNames() }, "[s]",
	},
	"a variable without a value in an included file": {
		"it comes from the include's own env file in both forms; compose-go looks there for the list only",
		map[string]string{"a.yaml": "include: [{path: sub/b.yaml, env_file: sub/x.env}]\n", "sub/b.yaml": "services: {s: {image: i, environment: {X: }}}\n", "sub/x.env": "X=included\n"},
		func(p *Project) any { return *p.Services["s"].Environment["X"] }, "included",
	},
	"a project_directory that does not exist": {
		"it is where the paths begin all the same; compose-go takes its parent",
		map[string]string{"a.yaml": "include: [{path: b.yaml, project_directory: none}]\n", "b.yaml": "services: {s: {image: i, build: ./ctx}}\n"},
		func(p *Project) any { return strings.TrimPrefix(p.Services["s"].Build.Context, p.Dir) }, "/none/ctx",
	},
}

// Our model is as listed, and compose-go's is not.
func TestDifferencesFromComposeGo(t *testing.T) {
	logrus.SetLevel(logrus.PanicLevel)
	for name, tc := range otherModels {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "project")
			if err := writeAll(dir, tc.files); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			o := Options{WorkDir: dir, ProjectName: "x", NoConsistency: true, Files: []string{"a.yaml"}}
			if _, ok := tc.files["b.yaml"]; ok && !strings.HasPrefix(tc.files["a.yaml"], "include") {
				o.Files = append(o.Files, "b.yaml")
			}
			p, _, err := Load(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(tc.get(p)); got != tc.want {
				t.Errorf("got %s, want %s: %s", got, tc.want, tc.reason)
			}
			if model, err := oracle(t, p); err == nil && differ(t, p.Project, model) == "" {
				t.Error("compose-go makes the same of it now")
			}
		})
	}
}
