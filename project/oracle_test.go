package project

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// oracleProjects are the directories of archives with projects, of whose models ours must be the same as compose-go's.
var oracleProjects = []string{"testdata/corpus", "testdata/oracle"}

// differences are the projects of which our model is another one on purpose, and why.
var differences = map[string]string{
	"env-file-raw":             "compose-go refuses the format raw, which Compose itself adds to it",
	"env-included-env-file":    "an included file is a project with variables of its own, which its env files may use",
	"legacy-realtime":          "realtime scheduling may be given as durations; compose-go takes numbers only",
	"mono-extends-tags":        "a volume's name may have one letter; compose-go takes v:/x for a path on a Windows drive",
	"other-port-forms":         "an IPv6 address may stand without brackets, as in an example of the specification; compose-go refuses it",
	"override-devices-by-path": "limits of block devices are mappings by the device's path; compose-go appends them",
	"override-rest":            "a limit of a build is a number or a mapping, like one of a container; compose-go cannot merge the two",
	"override-secret-targets":  "a relative target is a name in /run/secrets; compose-go compares the texts",
	"yaml-dates":               "YAML 1.2 has no dates; compose-go prints a time",
	"yaml-x-names":             "where names are free, one may begin with x-; compose-go panics",
}

// Our loader makes the same model of the same files as compose-go's, but for what is listed.
func TestOracle(t *testing.T) {
	t.Setenv("HOME", "/home/user")
	logrus.SetLevel(logrus.PanicLevel)
	found := 0
	for _, dir := range oracleProjects {
		files, err := filepath.Glob(dir + "/*.txtar")
		if err != nil {
			t.Fatal(err)
		}
		found += len(files)
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txtar")
			t.Run(name, func(t *testing.T) { compareWithOracle(t, file, differences[name]) })
		}
	}
	if found == 0 {
		t.Fatal("no test data")
	}
}

func compareWithOracle(t *testing.T, file, different string) {
	c := readCorpus(t, file)
	c.selected = nil
	c.load(t)
	t.Chdir(c.dir) // compose-go takes some relative paths for those of the process
	want, err := oracle(t, c.loaded)
	if err != nil && different == "" {
		t.Fatalf("compose-go refuses it: %v", err)
	}
	found := err != nil || differ(t, c.loaded.Project, want) != ""
	switch {
	case found && different == "":
		t.Error(differ(t, c.loaded.Project, want))
	case !found && different != "":
		t.Errorf("the models are the same, though listed as different: %s", different)
	}
}

// oracle loads the files of a project as Docker Compose does.
func oracle(t *testing.T, p *Project) (out *types.Project, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, fmt.Errorf("panic: %v", r)
		}
	}()
	details := types.ConfigDetails{WorkingDir: p.Dir, Environment: maps.Clone(p.Env)}
	for _, file := range p.Files {
		var content []byte // of standard input; files are read by compose-go
		for _, s := range p.sources {
			if file == "-" && s.file == "-" {
				content = s.content
			}
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: file, Content: content})
	}
	return loader.LoadWithContext(t.Context(), details, func(o *loader.Options) {
		o.SetProjectName(p.Name, true)
		o.SkipValidation, o.SkipConsistencyCheck = true, true
		o.Profiles = p.profiles
		o.Interpolate = &interpolation.Options{
			Substitute: func(text string, lookup template.Mapping) (string, error) {
				return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
			},
			LookupValue:     details.LookupEnv,
			TypeCastMapping: o.Interpolate.TypeCastMapping,
		}
	})
}

// differ shows where the models differ, or is "".
func differ(t *testing.T, got, want *types.Project) string {
	t.Helper()
	a, b := lines(t, got), lines(t, want)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			around := func(lines []string) string {
				return strings.Join(lines[max(0, min(i, len(lines))-8):min(i+4, len(lines))], "\n")
			}
			return "got:\n" + around(a) + "\ncompose-go has:\n" + around(b)
		}
	}
	return ""
}

// lines are all that a model has, without what compose-go leaves to chance.
func lines(t *testing.T, p *types.Project) []string {
	t.Helper()
	var ssh []any
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for _, name := range slices.Sorted(maps.Keys(services)) {
			if s := services[name]; s.Build != nil {
				keys := slices.Clone(s.Build.SSH) // which cannot be written as JSON
				slices.SortFunc(keys, func(x, y types.SSHKey) int { return cmp.Compare(x.ID, y.ID) })
				ssh, s.Build.SSH = append(ssh, keys), nil
				services[name] = s
			}
		}
	}
	all := map[string]any{"project": p, "off": p.DisabledServices, "jobs off": p.DisabledJobs, "extensions": p.Extensions, "dir": p.WorkingDir}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(strings.Split(string(text), "\n"), sshLines(ssh)...)
}

func sshLines(keys []any) []string {
	var out []string
	for _, k := range keys {
		for _, key := range k.(types.SSHConfig) {
			out = append(out, key.ID+"="+key.Path)
		}
	}
	return out
}
