package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/project"
)

// load computes what the Compose text wants, with the archive's files beside it; nil if it is refused.
func load(t *testing.T, files []txtar.File, text string) *desired.Project {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "x")
	for _, f := range append(slices.Clone(files), txtar.File{Name: "compose.yaml", Data: []byte(text)}) {
		path := filepath.Join(dir, filepath.Join("/", f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := project.Options{WorkDir: dir, Files: []string{filepath.Join(dir, "compose.yaml")}, Env: map[string]string{"FROM_HOST": "of the host", "HOME": dir}}
	p, _, err := project.Load(t.Context(), o)
	if err != nil {
		return nil
	}
	contents, err := p.ReadContents()
	if err != nil {
		contents = nil
	}
	d, _, err := desired.FromProject(p, desired.Input{Contents: contents})
	if err != nil {
		return nil
	}
	return d
}

// projects are all the Compose files that this module has to test with.
func projects(t *testing.T) map[string]*desired.Project {
	t.Helper()
	out := make(map[string]*desired.Project)
	for _, pattern := range []string{"../desired/testdata/attributes/*.txtar", "../../project/testdata/corpus/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for name, d := range projectsOf(t, archive) {
				out[filepath.Base(path)+"/"+name] = d
			}
		}
	}
	return out
}

// projectsOf are the projects of an archive: its base with each of the forms added, or what it expects to be loaded.
func projectsOf(t *testing.T, archive *txtar.Archive) map[string]*desired.Project {
	t.Helper()
	var base string
	var files []txtar.File
	for _, f := range archive.Files {
		switch name, isFile := strings.CutPrefix(f.Name, "file "); {
		case f.Name == "base":
			base = string(f.Data)
		case isFile:
			files = append(files, txtar.File{Name: name, Data: f.Data})
		case base == "" && f.Name != "want":
			files = append(files, f)
		}
	}
	out := make(map[string]*desired.Project)
	for _, f := range archive.Files {
		switch {
		case f.Name == "want":
			out["want"] = load(t, files, string(f.Data))
		case base != "" && f.Name != "base" && f.Name != "outcome" && !strings.HasPrefix(f.Name, "file "):
			for form := range strings.SplitSeq(string(f.Data), "\n---") {
				_, form, _ = strings.Cut("\n"+form, "\n")
				out[f.Name+" "+form] = load(t, files, base+strings.TrimPrefix(form, " without")+"\n")
			}
		}
	}
	return out
}

// fewest is how many of the projects can be loaded at least.
const fewest = 1000

// Whatever a project wants, what is read again is the same: written again it gives the same bytes, its containers have the
// same hashes, and it is planned in the same way.
func TestRoundTrip(t *testing.T) {
	n := 0
	for name, d := range projects(t) {
		if d == nil {
			continue
		}
		n++
		was := &Record{Program: "test", At: time.Unix(1700000000, 0).UTC(), Desired: d, Plan: &Plan{Fixed: convergence.Fixed{Plan: canonical(t, d)}}}
		text, err := Encode(was)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		is, err := Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := Encode(is)
		if err != nil || !bytes.Equal(text, again) {
			t.Errorf("%s: written again it is another: %v\n%s\n%s", name, err, text, again)
		}
		if got := canonical(t, is.Desired); got != is.Plan.Plan {
			t.Errorf("%s: planned as\n%s\ninstead of\n%s", name, got, is.Plan.Plan)
		}
		for _, s := range is.Desired.Services {
			sameContainers(t, name, d.Service(s.Name), &s)
		}
	}
	if n < fewest {
		t.Errorf("%d projects, want %d at least", n, fewest)
	}
}

func sameContainers(t *testing.T, name string, was, is *desired.Service) {
	t.Helper()
	for i, c := range is.Containers {
		if c.Hash != was.Containers[i].Hash || c.Settings.Hash() != c.Hash {
			t.Errorf("%s: the hash of %s is %s, was %s", name, c.Name, c.Hash, was.Containers[i].Hash)
		}
	}
}

// canonical plans the project from nothing, and from what has other images.
func canonical(t *testing.T, d *desired.Project) string {
	t.Helper()
	var out strings.Builder
	given := desired.Given{Variables: map[string]desired.Variables{}, Endpoints: map[string]string{}}
	for _, s := range d.Services {
		if s.Provider != nil {
			given.Variables[s.Name] = desired.Variables{Raw: map[string]string{"KEY": "value"}}
		}
		for _, use := range s.Models {
			given.Endpoints[use.Key] = "http://model"
		}
	}
	for _, o := range []plan.UpOptions{{}, {Given: given, AllResources: true}} {
		s := &state.Project{Name: d.Name, Networks: map[string]state.Network{}, Volumes: map[string]state.Volume{}, Images: map[string]state.Image{}}
		for _, n := range d.Networks {
			if n.External {
				s.Networks[n.Name] = state.Network{Name: n.Name}
			}
		}
		for _, v := range d.Volumes {
			if v.External {
				s.Volumes[v.Name] = state.Volume{Name: v.Name}
			}
		}
		if o.AllResources {
			for ref := range d.Images() {
				s.Images[ref] = state.Image{ID: "sha256:1"}
			}
		}
		p, err := plan.Up(d, s, o)
		if err != nil {
			out.WriteString("error: " + err.Error() + "\n")
			continue
		}
		out.WriteString(p.Canonical())
	}
	return out.String()
}

const small = `
name: x
services:
  web: {image: web, build: {context: ., secrets: [token]}, environment: {A: "1"}, depends_on: [db], networks: [front]}
  db: {image: db, volumes: [data:/data], pre_start: [{image: tool, command: [migrate]}]}
  other: {image: other, profiles: [extra]}
networks: {front: {}}
volumes: {data: {}}
secrets: {token: {file: token}}
`

var token = []txtar.File{{Name: "token", Data: []byte("geheim")}}

// The secrets of builds are part of a kept plan, and of nothing else.
func TestSecretsOfBuilds(t *testing.T) {
	d := load(t, token, small)
	for _, kept := range []*Plan{nil, {}} {
		text, err := Encode(&Record{Desired: d, Plan: kept})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(r.Desired.Service("web").Build.Kit.Secrets[0].Content); (got == "geheim") != (kept != nil) {
			t.Errorf("kept %v: the secret is %q", kept != nil, got)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	text, err := Encode(&Record{Desired: &desired.Project{Name: "x"}, Plan: &Plan{}})
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) []byte {
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("no %s in %s", old, text)
		}
		return bytes.Replace(text, []byte(old), []byte(new), 1)
	}
	resealed := func(content string) []byte {
		out, err := json.Marshal(envelope{kind, Version, sumOf([]byte(content)), json.RawMessage(content)})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(pretty.Bytes()); err != nil {
		t.Errorf("one that was only laid out anew: %v", err)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"nothing":      {nil, "it is damaged, or was not written by stack"},
		"cut off":      {text[:len(text)/2], "it is damaged, or was not written by stack"},
		"another JSON": {[]byte(`{"services":{}}`), "it was not written by stack"},
		"newer":        {edit(`"version":1`, `"version":2`), "it is of version 2, and this program reads version 1"},
		"changed":      {edit(`"Name":"x"`, `"Name":"y"`), "its content does not fit its checksum"},
		"unknown":      {resealed(`{"Desired":{"Name":"x","Wishes":[]}}`), `something that this program does not know: json: unknown field "Wishes"`},
		"no project":   {resealed(`{}`), "it has no project"},
		"container":    {resealed(`{"Desired":{"Name":"x","Services":[{"Name":"a","Containers":[{"Name":"c"}]}]}}`), "without what it is made of"},
		"hook":         {resealed(`{"Desired":{"Name":"x","Services":[{"Name":"a","PreStart":[{}]}]}}`), "without what it is made of"},
		"build":        {resealed(`{"Desired":{"Name":"x","Services":[{"Name":"a","Build":{}}]}}`), "without what it is made of"},
		"secrets":      {resealed(`{"Desired":{"Name":"x"},"Plan":{"Plan":"","Later":null,"Secrets":["AA=="]}}`), "it has 1 secrets of builds instead of 0"},
	} {
		if _, err := Decode(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// JSON cannot hold every text of a process. What it cannot hold is refused and not changed.
func TestEncodeRefusesWhatIsNoText(t *testing.T) {
	for text, fits := range map[string]bool{"a\xffb": false, `a\ufffdb`: true, "a\ufffdb": true, `a\\ufffd` + "\xff": false, `\`: true} {
		_, err := Encode(&Record{Desired: &desired.Project{Name: text}})
		if (err == nil) != fits {
			t.Errorf("%q: %v", text, err)
		}
	}
}
