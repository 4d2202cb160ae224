package project

import (
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

// switches are what config leaves out, here and in compose-go, with the projects of which our model is another one on purpose.
var switches = map[string]struct {
	set       func(*Options, *loader.Options)
	different map[string]string
}{
	"NoNormalize": {
		func(o *Options, l *loader.Options) { o.NoNormalize, l.SkipNormalization = true, true },
		map[string]string{
			"other-hooks": "what a hook takes over from its service is no matter of what is implied",
			"other-rare":  "the same",
		},
	},
	"NoPathResolution": {func(o *Options, l *loader.Options) { o.NoPathResolution, l.ResolvePaths = true, false }, map[string]string{
		"mono-extends-chain-of-files": "compose-go looks for the env file of a file that is extended twice in another folder",
	}},
	"NoEnvResolution": {
		func(o *Options, l *loader.Options) { o.NoEnvResolution, l.SkipResolveEnvironment = true, true },
		map[string]string{
			"env-label-file":                 "label files stay unread like env files",
			"mono-extends-chain-of-files":    "the same",
			"mono-extends-same-names":        "the same",
			"mono-include-project-directory": "the same",
		},
	},
}

// With each of the switches, our loader makes the same model of the same files as compose-go's.
func TestSwitches(t *testing.T) {
	t.Setenv("HOME", "/home/user")
	logrus.SetLevel(logrus.PanicLevel)
	files, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data: ", err)
	}
	for kind, s := range switches {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txtar")
			if differences[name] == "" {
				t.Run(kind+"/"+name, func(t *testing.T) { compareSwitched(t, file, s.set, s.different[name]) })
			}
		}
	}
}

func compareSwitched(t *testing.T, file string, set func(*Options, *loader.Options), different string) {
	c := readCorpus(t, file)
	c.selected = nil
	c.load(t)
	o := c.loaded.options
	set(&o, new(loader.Options))
	p, _, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(p.Files, "-") {
		return // compose-go would read this process's own standard input
	}
	t.Chdir(c.dir)
	details := types.ConfigDetails{WorkingDir: p.Dir, Environment: maps.Clone(p.Env), ConfigFiles: types.ToConfigFiles(p.Files)}
	want, err := loader.LoadWithContext(t.Context(), details, func(o *loader.Options) {
		o.SetProjectName(p.Name, true)
		o.SkipValidation, o.SkipConsistencyCheck = true, true
		o.Profiles = p.profiles
		set(new(Options), o)
		o.Interpolate = &interpolation.Options{
			Substitute: func(text string, lookup template.Mapping) (string, error) {
				return template.SubstituteWithOptions(text, lookup, template.WithoutLogging)
			},
			LookupValue:     details.LookupEnv,
			TypeCastMapping: o.Interpolate.TypeCastMapping,
		}
	})
	if err != nil {
		if different == "" {
			t.Fatal(err)
		}
		return
	}
	got, text := lines(t, p.Project), lines(t, want)
	equal := slices.EqualFunc(got, text, func(a, b string) bool {
		// a path is as good with ./ as without
		return strings.ReplaceAll(a, `"./`, `"`) == strings.ReplaceAll(b, `"./`, `"`)
	})
	switch {
	case !equal && different == "":
		t.Error(differ(t, p.Project, want))
	case equal && different != "":
		t.Errorf("the models are the same, though listed as different: %s", different)
	}
}
