package project

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

// author writes the files of one project.
type author struct {
	*rand.Rand
	over   bool // what is written now is put over something
	stated bool // what has a default is written
}

// phrase writes a value as YAML on one line.
type phrase func(*author) string

func anyOf(texts ...string) phrase {
	return func(r *author) string { return texts[r.IntN(len(texts))] }
}

func either(phrases ...phrase) phrase {
	return func(r *author) string { return phrases[r.IntN(len(phrases))](r) }
}

// someOf is a list of some of the items, one perhaps twice in a row. Those that begin with "<" are only written in what
// others are put over, those with ">" only in what is put over others.
func someOf(items ...string) phrase {
	return func(r *author) string {
		var out []string
		for _, i := range r.Perm(len(items))[:r.IntN(len(items)+1)] {
			item := items[i]
			if item[0] == '<' && r.over || item[0] == '>' && !r.over {
				continue
			}
			out = append(out, strings.TrimLeft(item, "<>"))
			if r.IntN(8) == 0 {
				out = append(out, out[len(out)-1])
			}
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
}

// mapOf has some of the keys. The value of each is one of several.
func mapOf(entries map[string]phrase) phrase {
	return func(r *author) string {
		var out []string
		for _, key := range sortedKeys(entries) {
			if r.IntN(2) == 0 {
				out = append(out, key+": "+entries[key](r))
			}
		}
		return "{" + strings.Join(out, ", ") + "}"
	}
}

// keyValues is a mapping, or a list of key=value.
func keyValues(r *author) string {
	pairs := func(r *author) string {
		var out []string
		for _, key := range []string{"A", "B", "FROM_ENV"} {
			switch r.IntN(4) {
			case 0:
				out = append(out, key)
			case 1:
				out = append(out, fmt.Sprintf("%s=%d", key, r.IntN(3)))
			case 2:
				out = append(out, key+"=")
			}
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	value := anyOf("1", "two", `""`, "true", "1.5", "null", "0x10")
	return either(pairs, mapOf(map[string]phrase{"A": value, "B": value, "FROM_ENV": value}))(r)
}

var (
	texts  = anyOf("a", "b", "c")
	number = anyOf("1", "2", "3")
	truth  = anyOf("true", "false")
)

// attributes is the grammar of a service. Each attribute that files can merge is in all of its forms.
var attributes = map[string]phrase{
	"annotations": keyValues,
	"build": either(anyOf("./ctx", "https://example.com/r.git"), mapOf(map[string]phrase{
		"context": anyOf(".", "./sub", "../up"), "dockerfile": anyOf("D1", "D2"), "args": keyValues, "labels": keyValues,
		"tags": someOf("t:1", "t:2", "t:3"), "cache_from": someOf("c1", "c2"), "platforms": someOf("linux/amd64", "linux/arm64"),
		"extra_hosts": someOf(`"h=1.1.1.1"`, `"h=2.2.2.2"`), "additional_contexts": either(someOf("x=./x", "y=./y"), mapOf(map[string]phrase{"x": anyOf("./p", "./q")})),
		"no_cache": truth, "target": texts, "shm_size": anyOf("1m", "2m"), "secrets": someOf("{source: s1}", "{source: s2, target: t}"),
	})),
	"cap_add":    someOf("ALL", "NET_ADMIN", "SYS_TIME"),
	"cap_drop":   someOf("ALL", "CHOWN"),
	"command":    either(anyOf("run it", `""`), someOf("a", "b", "c")),
	"configs":    someOf("c1", "c2", "<{source: c1, target: /x}", ">{source: c2, target: /x, mode: 0440}"),
	"cpus":       anyOf("0.5", `"1.5"`),
	"depends_on": either(someOf("d1", "d2"), mapOf(map[string]phrase{"d1": dependency, "d2": dependency})),
	"deploy": mapOf(map[string]phrase{
		"replicas": number, "labels": keyValues,
		"resources": mapOf(map[string]phrase{"limits": mapOf(map[string]phrase{"memory": anyOf("10m", "20m"), "pids": number})}),
		"placement": mapOf(map[string]phrase{"constraints": someOf("node.role==a", "node.role==b")}),
	}),
	"develop": mapOf(map[string]phrase{"watch": someOf("{path: ./src, action: rebuild}", "{path: ./lib, action: sync, target: /lib, ignore: [x]}")}),
	"devices": someOf("/dev/a", "</dev/a:/dev/b", ">/dev/c:/dev/b:r", "<{source: /dev/x, target: /dev/d, permissions: rw}", ">{source: /dev/y, target: /dev/d}"),
	"dns":     either(anyOf("1.1.1.1", "8.8.8.8"), someOf("1.1.1.1", "8.8.8.8")),
	"dns_opt": someOf("use-vc", "ndots:1"), "dns_search": either(anyOf("a.b"), someOf("a.b", "c.d")),
	"entrypoint":  either(anyOf("run it"), someOf("a", "b")),
	"env_file":    either(anyOf("a.env"), someOf("a.env", "<b.env", ">{path: b.env, required: false}", "{path: none.env, required: false}")),
	"environment": keyValues,
	"expose":      someOf(`"80"`, `"81"`, `"82/udp"`),
	"extra_hosts": either(someOf(`"h=1.1.1.1"`, `"i=2.2.2.2"`), mapOf(map[string]phrase{"h": anyOf("1.1.1.1", "3.3.3.3"), "i": anyOf("2.2.2.2")})),
	"group_add":   someOf("g1", "g2"),
	"healthcheck": mapOf(map[string]phrase{"test": either(anyOf("exit 0"), someOf("CMD", "a")), "interval": anyOf("1s", "2s"), "retries": number, "disable": truth}),
	"hostname":    texts,
	"image":       anyOf("i:1", "i:2"),
	"init":        truth,
	"label_file":  someOf("a.labels", "b.labels"),
	"labels":      keyValues,
	"logging":     mapOf(map[string]phrase{"driver": anyOf("local", "syslog"), "options": mapOf(map[string]phrase{"a": texts, "b": number})}),
	"mem_limit":   anyOf("64m", "1g"),
	"models":      either(someOf("m1", "m2"), mapOf(map[string]phrase{"m1": mapOf(map[string]phrase{"endpoint_var": texts}), "m2": anyOf("{}")})),
	"networks": either(someOf("n1", "n2"), mapOf(map[string]phrase{"n2": anyOf("null", "{}"), "n1": mapOf(map[string]phrase{
		"aliases": someOf("x", "y", "z"), "ipv4_address": anyOf("10.0.0.2", "10.0.0.3"), "priority": number, "link_local_ips": someOf("57.1.1.1", "57.1.1.2"),
	})})),
	"ports":        someOf(`"80"`, `>"8080:80"`, "81", `"127.0.0.1:8080:80"`, `"9000-9002:90-92"`, `<"9001:91/udp"`, `<{target: 80, published: "8080"}`, `>{target: 91, published: "9001", protocol: udp, mode: host}`),
	"post_start":   someOf("{command: a}", "{command: [b, c], user: root}"),
	"profiles":     someOf("p"),
	"privileged":   truth,
	"restart":      anyOf(`"no"`, "always"),
	"secrets":      someOf("s1", "s2", "<{source: s1, target: t}", ">{source: s2, target: t}"),
	"security_opt": someOf(`"a:b"`, `"c:d"`),
	"stop_signal":  anyOf("SIGINT", "SIGQUIT"),
	"storage_opt":  mapOf(map[string]phrase{"size": anyOf("1g", "2g")}),
	"sysctls":      keyValues,
	"tmpfs":        either(anyOf("/tmp"), someOf("</run:size=1m", "/tmp", ">/run:size=2m")),
	"ulimits":      mapOf(map[string]phrase{"nproc": limit, "nofile": limit}),
	"user":         texts,
	"volumes": someOf("vol:/a", "<vol2:/a2:ro", ">vol:/a2", "./dir:/b", "../dir:/d", "/abs:/c", "/anonymous", "<{type: bind, source: ./long, target: /b2}", ">./short:/b2",
		"<vol:/a3", ">{type: volume, source: vol, target: /a3, read_only: true}", "{type: tmpfs, target: /t, tmpfs: {size: 1m}}"),
	"volumes_from": someOf("d1", "d2:ro"),
	"working_dir":  anyOf("/a", "/b"),
	"x-own":        someOf("a", "b"),
}

var (
	dependency = func(r *author) string {
		if r.stated {
			return "{condition: " + condition(r) + ", restart: " + truth(r) + ", required: " + truth(r) + "}"
		}
		return mapOf(map[string]phrase{"condition": condition, "restart": truth, "required": truth})(r)
	}
	condition = anyOf("service_started", "service_healthy")
	limit     = either(number, anyOf("{soft: 1, hard: 2}", "{soft: 3, hard: 4}"))
)

// resources is the grammar of everything else.
const resources = `networks: {n1: {}, n2: {}}
volumes: {vol: {}, vol2: {}}
configs: {c1: {content: a}, c2: {file: ./c2}}
secrets: {s1: {environment: FROM_ENV}, s2: {file: ./s2}}
models: {m1: {model: a}, m2: {model: b}}
`

var objects = map[string]phrase{
	"networks": mapOf(map[string]phrase{"n1": either(anyOf("null"), mapOf(map[string]phrase{
		"driver": anyOf("bridge", "macvlan"), "labels": keyValues, "internal": truth, "driver_opts": mapOf(map[string]phrase{"a": number, "b": texts}),
		"ipam": mapOf(map[string]phrase{"driver": texts, "config": anyOf("[{subnet: 10.0.0.0/16}]", "[{subnet: 10.0.0.0/16, gateway: 10.0.0.1}]", "[{subnet: 10.1.0.0/16}]")}),
	}))}),
	"volumes": mapOf(map[string]phrase{"vol": either(anyOf("null"), mapOf(map[string]phrase{
		"driver": anyOf("local", "x"), "labels": keyValues, "driver_opts": mapOf(map[string]phrase{"type": texts}), "name": anyOf("na", "nb"), "external": anyOf("false"),
	}))}),
	"configs": mapOf(map[string]phrase{"c1": mapOf(map[string]phrase{"content": texts, "labels": keyValues})}),
	"secrets": mapOf(map[string]phrase{"s2": mapOf(map[string]phrase{"file": anyOf("./s2", "../s3"), "labels": keyValues})}),
	"x-top":   mapOf(map[string]phrase{"a": texts, "b": someOf("1", "2")}),
}

// Random files, in each way in which files come together, make the same model as with compose-go. They are always the same
// ones, because what compose-go makes of one file in ten thousand is a fault of its own; with STACK_FUZZ_ORACLE=1 they are others.
func TestMergedAsByComposeGo(t *testing.T) {
	logrus.SetLevel(logrus.PanicLevel)
	seed, n := uint64(1), uint64(200)
	if os.Getenv("STACK_FUZZ_ORACLE") != "" {
		seed, n = uint64(time.Now().UnixNano()), 5000
	}
	for i := range n {
		files, main := story(&author{Rand: rand.New(rand.NewPCG(seed, i))})
		if !t.Run(fmt.Sprint(i), func(t *testing.T) { compareRandom(t, files, main) }) {
			t.Fatalf("seed %d, %d:\n%s", seed, i, filesText(files))
		}
	}
}

func compareRandom(t *testing.T, files map[string]string, main []string) {
	dir := filepath.Join(t.TempDir(), "project")
	if err := writeAll(dir, files); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	o := Options{WorkDir: dir, Files: main, ProjectName: "x", Profiles: []string{"*"}, Env: map[string]string{"FROM_ENV": "from env"}, NoConsistency: true}
	got, _, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want, err := oracle(t, got)
	if err != nil {
		t.Fatal(err)
	}
	if text := differ(t, got.Project, want); text != "" {
		t.Error(text)
	}
}

// story is a project whose service s comes together from several files.
func story(r *author) (files map[string]string, main []string) {
	base := service(r, 0.3)
	r.over = true
	over := service(r, 0.3)
	files = map[string]string{
		"a.env": "EA=1\nEB=2\n", "b.env": "EB=3\n", "a.labels": "la=1\n", "b.labels": "lb=1\n", "c2": "", "s2": "",
		"sub/a.env": "EA=4\n", "sub/b.env": "EB=5\n", "sub/a.labels": "la=6\n", "sub/b.labels": "lb=7\n", "sub/c2": "", "sub/s2": "",
	}
	others := "  d1: {image: d}\n  d2: {image: d}\n"
	switch r.IntN(7) {
	case 0, 1: // an override file, or another document of the same file
		first := fileOf(base, others) + resources
		second := fileOf(over, "") + someObjects(r)
		if r.IntN(4) == 0 {
			files["compose.yaml"] = first + "---\n" + second
			return files, []string{"compose.yaml"}
		}
		files["compose.yaml"], files["over.yaml"] = first, second
		return files, []string{"compose.yaml", "over.yaml"}
	case 2: // extends in the same file
		files["compose.yaml"] = "services:\n  base:" + base + "  s:\n    extends: base" + over + others + resources
	case 3: // extends from a file elsewhere
		files["sub/base.yaml"] = "services:\n  base:" + base
		files["compose.yaml"] = "services:\n  s:\n    extends: {file: sub/base.yaml, service: base}" + over + others + resources
	case 4: // what is included is customized
		files["sub/part.yaml"] = fileOf(base, others) + resources
		files["compose.yaml"] = "include: [sub/part.yaml]\n" + fileOf(over, "") + someObjects(r)
	case 5: // what is included is several files, and one that includes them
		files["sub/base.yaml"], files["sub/over.yaml"] = fileOf(base, others)+resources, fileOf(over, "")+someObjects(r)
		files["sub/part.yaml"] = "include: [{path: [base.yaml, over.yaml]}]\nservices: {other: {image: i}}\n"
		files["compose.yaml"] = "include: [sub/part.yaml]\n"
	case 6: // a service that extends from elsewhere is put over another one
		// Of three layers compose-go drops what is written twice before the later one can win, and takes the defaults of
		// what is extended for written values.
		r.over, r.stated = false, true
		files["compose.yaml"] = fileOf(service(r, 0.1), others) + resources
		files["sub/base.yaml"] = "services:\n  base:" + service(r, 0.3)
		files["over.yaml"] = "services:\n  s:\n    extends: {file: sub/base.yaml, service: base}" + over
		return files, []string{"compose.yaml", "over.yaml"}
	}
	return files, []string{"compose.yaml"}
}

func fileOf(service, others string) string {
	return "services:\n  s:" + service + others
}

// service is some of the attributes, as lines below the service's name.
func service(r *author, share float64) string {
	out := "\n    x-s: s\n"
	for _, name := range sortedKeys(attributes) {
		if r.Float64() >= share {
			continue
		}
		value := attributes[name](r)
		if r.over {
			value = tagged(r, value)
		}
		out += "    " + name + ": " + value + "\n"
	}
	return out
}

// tagged is sometimes the value with a tag of Compose.
func tagged(r *author, value string) string {
	switch r.IntN(10) {
	case 0:
		return "!reset null"
	case 1:
		return "!override " + value
	}
	return value
}

func someObjects(r *author) string {
	out := ""
	for _, name := range sortedKeys(objects) {
		if r.IntN(2) == 0 {
			out += name + ": " + objects[name](r) + "\n"
		}
	}
	return out
}
