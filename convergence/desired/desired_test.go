package desired

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/project"
)

var update = flag.Bool("update", false, "rewrite testdata")

func load(t *testing.T, text string, profiles ...string) *project.Project {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, _, err := project.Load(t.Context(), project.Options{WorkDir: dir, ProjectName: "x", Profiles: profiles})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func from(t *testing.T, text string) *Project {
	t.Helper()
	d, _, err := FromProject(load(t, text), Input{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The golden file shows in the engine's terms what a project with nearly every attribute wants.
func TestEverything(t *testing.T) {
	const golden = "testdata/everything.json"
	text, err := os.ReadFile("../../project/testdata/projects/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := load(t, string(text), "p")
	d, warnings, err := FromProject(p, Input{Contents: project.Contents{
		"configs/cfg": []byte("hello"), "configs/cfg2": []byte("two"), "secrets/sec": []byte("s"),
	}})
	if err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	for _, s := range d.Services {
		for _, c := range s.Containers {
			for _, l := range []string{LabelHash, LabelConfigHash, LabelConfig} { // of their own tests
				delete(c.Config.Config.Labels, l)
			}
		}
	}
	kept := slices.DeleteFunc(d.Services, func(s Service) bool { return s.Name > "f" })
	for i := range kept {
		kept[i].ComposeHash, kept[i].References = "", nil
		for j := range kept[i].Containers {
			kept[i].Containers[j].Hash = ""
		}
	}
	d.Services = kept
	for i := range d.Networks {
		d.Networks[i].Settings, d.Networks[i].Hash, d.Networks[i].ComposeHash = nil, "", ""
		delete(d.Networks[i].Create.Labels, LabelConfigHash)
		delete(d.Networks[i].Create.Labels, LabelConfig)
		delete(d.Networks[i].Create.Labels, LabelHash)
	}
	for i := range d.Volumes {
		d.Volumes[i].Settings, d.Volumes[i].Hash, d.Volumes[i].ComposeHash = nil, "", ""
		delete(d.Volumes[i].Create.Labels, LabelConfigHash)
		delete(d.Volumes[i].Create.Labels, LabelConfig)
		delete(d.Volumes[i].Create.Labels, LabelHash)
	}
	got, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = []byte(strings.ReplaceAll(string(got), p.Dir, "/project") + "\n")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compareLines(t, string(got), string(want))
}

func compareLines(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("line %d: got %s, want %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Errorf("%d lines, want %d", len(a), len(b))
	}
}

const base = `
services:
  web:
    image: w
    environment: {A: "1"}
    ports: ["80:80"]
    volumes: ["data:/d", "/tmp:/t"]
    command: sleep 1
volumes: {data: }
`

// The hash must change with the first and must not with the second.
func TestHash(t *testing.T) {
	hash := func(text string) string { return from(t, text).Services[0].Containers[0].Hash }
	first := hash(base)
	if !strings.HasPrefix(first, "1:") || len(first) != 66 {
		t.Errorf("hash %s", first)
	}
	for _, change := range [][2]string{
		{`A: "1"`, `A: "2"`}, {`A: "1"`, `A: `}, {"80:80", "81:80"}, {"80:80", "80:80/udp"}, {"data:/d", "data:/d:ro"}, {"/tmp:/t", "/tmp:/u"},
		{"sleep 1", "sleep 2"}, {"image: w", "image: w\n    entrypoint: []"}, {"image: w", "image: w\n    privileged: true"},
		{"image: w", "image: w\n    labels: [a]"}, {"image: w", "image: w\n    mem_swappiness: 3"}, {"image: w", "image: w\n    restart: always"},
	} {
		if hash(strings.Replace(base, change[0], change[1], 1)) == first {
			t.Errorf("the same hash with %q", change[1])
		}
	}
	for _, same := range [][2]string{
		{"image: w", "image: other"}, // compared by ID
		{`{A: "1"}`, `["A=1"]`}, {`["80:80"]`, `[{target: 80, published: 80}]`}, {"sleep 1", "[sleep, '1']"},
		{"image: w", "image: w\n    profiles: []\n    scale: 1\n    pull_policy: always"},
	} {
		if hash(strings.Replace(base, same[0], same[1], 1)) != first {
			t.Errorf("another hash with %q", same[1])
		}
	}
}

// This value is what running containers carry. If it changes, hashVersion must.
func TestHashIsStable(t *testing.T) {
	const want = "1:7f30a97ffefab9edf3cfb67768c21f5fd150c299794d044c5b528bfcc76703da"
	if got := from(t, base).Services[0].Containers[0].Hash; got != want {
		t.Errorf("hash %s", got)
	}
}

func TestSettingsSurviveTheLabel(t *testing.T) {
	c := from(t, strings.Replace(base, `A: "1"`, `A: "line one\nline \"two\" = ü"`, 1)).Services[0].Containers[0]
	back, ok := Unpack(c.Settings.Pack())
	if !ok || back.Hash() != c.Hash {
		t.Errorf("ok %t: %v", ok, back)
	}
	for _, bad := range []string{"", "!", "AAAA", "eJwDAA=="} {
		if s, ok := Unpack(bad); ok && len(s) > 0 {
			t.Errorf("%q was read as %v", bad, s)
		}
	}
}

func TestTheLabelHasNoSecrets(t *testing.T) {
	text := strings.Replace(base, `A: "1"`, "A: hunter2-hunter2", 1)
	text = strings.Replace(text, "image: w", "image: w\n    configs: [c]", 1) + "configs: {c: {content: hunter2-hunter2}}\n"
	d, _, err := FromProject(load(t, text), Input{Contents: project.Contents{"configs/c": []byte("hunter2-hunter2")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range d.Services[0].Containers[0].Settings {
		if strings.Contains(s.Value, "hunter2") {
			t.Errorf("%s shows it", s.Name)
		}
	}
}

func TestChanges(t *testing.T) {
	was := from(t, base).Services[0].Containers[0].Settings
	is := from(t, strings.NewReplacer(`A: "1"`, `B: "1"`, "80:80", "81:80", "sleep 1", "sleep 2").Replace(base)).Services[0].Containers[0].Settings
	var got []string
	for _, c := range Changes(was, is) {
		got = append(got, c.Name)
	}
	if want := "Cmd Env.A Env.B Ports.80:80/tcp Ports.81:80/tcp"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
	if c := Changes(was, was); len(c) != 0 {
		t.Errorf("differs from itself: %v", c)
	}
}

func TestRefused(t *testing.T) {
	p := load(t, `
services:
  web:
    image: w
    credential_spec: {file: x}
    isolation: hyperv
    umask: 18
    build: {context: ., platforms: [linux/amd64, linux/arm64]}
    deploy: {placement: {constraints: [a]}, update_config: {parallelism: 1}}
    volumes: [{type: npipe, source: a, target: /b}]
`)
	_, warnings, err := FromProject(p, Input{})
	mistakes, ok := errors.AsType[project.Errors](err)
	if !ok {
		t.Fatal(err)
	}
	var lines []int
	for _, m := range mistakes {
		lines = append(lines, m.Line)
	}
	if want := []int{5, 6, 7, 8, 10}; !slices.Equal(lines, want) {
		t.Errorf("lines %v:\n%v", lines, err)
	}
	if len(warnings) != 1 || warnings[0].Line != 9 {
		t.Errorf("warnings %v", warnings)
	}
}

func TestScale(t *testing.T) {
	p := load(t, base)
	for n, want := range map[int]string{0: "", 1: "x-web-1", 3: "x-web-1 x-web-2 x-web-3"} {
		d, _, err := FromProject(p, Input{Scale: map[string]int{"web": n}})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range d.Services[0].Containers {
			names = append(names, c.Name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%d: %v", n, names)
		}
	}
}
