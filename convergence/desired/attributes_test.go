package desired

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/watch/rules"
)

// Every attribute of the specification is shown at work, or refused, in every type that it may have.
func TestAttributes(t *testing.T) {
	for _, f := range caseFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(f.path), ".txtar"), func(t *testing.T) {
			outcomes := make([]string, len(f.cases))
			for i, c := range f.cases {
				outcomes[i] = c.want
				t.Run(c.attribute, func(t *testing.T) { outcomes[i] = f.check(t, c) })
			}
			if *update {
				if err := os.WriteFile(f.path, f.write(outcomes), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func (f *caseFile) check(t *testing.T, c *attributeCase) string {
	s := newStage(t, f)
	base := s.play(f.base + c.without)
	support := supportOf(c.attribute)
	state := support.State
	if base.err != "" && state != Refused && !c.looksAt("refused") {
		t.Fatalf("the base is refused: %s", base.err)
	}
	var outcomes []string
	for _, form := range c.forms {
		o := s.play(f.base + form)
		text := o.since(base, c.looksAt("rules"), state == Read || c.looksAt("model"))
		if problem := judge(support, c, o, text); problem != "" {
			t.Errorf("%s:\n%s%s", problem, form, text)
		}
		for _, problem := range hashProblems(base, o) {
			t.Errorf("%s:\n%s", problem, form)
		}
		outcomes = append(outcomes, text)
	}
	got := strings.Join(slices.Compact(outcomes), "---\n")
	if strings.Contains(got, "---\n") && !strings.HasPrefix(got, "error: ") {
		t.Errorf("the forms do not mean the same:\n%s", got)
	}
	if got != c.want && !*update {
		t.Errorf("got:\n%s\nwant:\n%s", got, c.want)
	}
	checkTestsExist(t, c.tests)
	return got
}

// judge says what is wrong with the outcome of an attribute in this state.
func judge(support Support, c *attributeCase, o outcome, text string) string {
	state := support.State
	switch {
	case state == Refused && c.looksAt("allowed") && o.err == "" && text == "":
	case state == Refused || c.looksAt("refused"):
		if o.err == "" {
			return "it is not refused"
		}
	case o.err != "":
		return "it is refused: " + o.err
	case c.looksAt("warning"):
		if len(o.warnings) == 0 {
			return "it is not warned about"
		}
	case state == Read:
		if !strings.Contains(strings.Join(o.warnings, "\n"), "has no effect") || !strings.Contains(text, "model.") {
			return "it is not kept in the model with a warning"
		}
	case len(o.warnings) > 0:
		return "it is warned about: " + strings.Join(o.warnings, "\n")
	case text == "":
		return "it makes no difference"
	}
	return ""
}

// stage is a project's folder in which forms are tried.
type stage struct {
	t   *testing.T
	dir string
}

func newStage(t *testing.T, f *caseFile) stage {
	s := stage{t, filepath.Join(t.TempDir(), "x")}
	for _, file := range f.files {
		s.write(file.Name, file.Data)
	}
	return s
}

func (s stage) write(name string, content []byte) {
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// outcome is what became of one Compose file.
type outcome struct {
	err      string
	warnings []string
	desired  *Project
	lines    []string // of the desired state
	model    []string // of the loaded model
	rules    []string // of what is done when files change
}

// hostEnvironment is what the cases find in the environment.
var hostEnvironment = map[string]string{"FROM_HOST": "of the host"}

func (s stage) play(text string) outcome {
	s.write("compose.yaml", []byte(text))
	var o outcome
	p, warnings, err := project.Load(s.t.Context(), project.Options{WorkDir: s.dir, Env: hostEnvironment})
	o.warn(s, warnings)
	if err != nil {
		o.err = s.plain(err.Error())
		return o
	}
	contents, err := p.ReadContents()
	if err != nil {
		o.err = s.plain(err.Error())
		return o
	}
	d, warnings, err := FromProject(p, Input{Contents: contents})
	o.warn(s, warnings)
	if err != nil {
		o.err = s.plain(err.Error())
		return o
	}
	o.desired = d
	o.lines = strings.Split(s.plain(strings.Join(linesOf(d), "\n")), "\n")
	o.model, o.rules = s.modelLines(p), s.ruleLines(p)
	return o
}

// ruleLines are the rules of develop.watch, without where they are written.
func (s stage) ruleLines(p *project.Project) []string {
	found, _, err := rules.Of(p, rules.Options{Develop: true})
	if err != nil {
		s.t.Fatal(err)
	}
	services := make(map[string][]rules.Rule)
	for _, r := range found {
		plain := *r
		plain.Place = project.Position{}
		services[r.Service] = append(services[r.Service], plain)
	}
	if len(services) == 0 {
		return nil
	}
	return strings.Split(s.plain(strings.Join(linesOf(map[string]any{"rules": services}), "\n")), "\n")
}

func (o *outcome) warn(s stage, warnings []project.Warning) {
	for _, w := range warnings {
		o.warnings = append(o.warnings, s.plain(w.String()))
	}
}

// plain is the text without where this run's folder happens to be.
func (s stage) plain(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, s.dir+"/compose.yaml:", "compose.yaml:"), s.dir, "/x")
}

func (s stage) modelLines(p *project.Project) []string {
	text, err := p.MarshalYAML()
	if err != nil {
		s.t.Fatal(err)
	}
	var model map[string]any
	if err := yaml.Unmarshal(text, &model); err != nil {
		s.t.Fatal(err)
	}
	return strings.Split(s.plain(strings.Join(linesOf(map[string]any{"model": model}), "\n")), "\n")
}

// since says what is different from the base.
func (o outcome) since(base outcome, withRules, withModel bool) string {
	if o.err != "" {
		return "error: " + o.err + "\n"
	}
	changed := difference(base.lines, o.lines)
	if withRules {
		changed = append(changed, difference(base.rules, o.rules)...)
	}
	if withModel {
		changed = append(changed, difference(base.model, o.model)...)
	}
	for _, w := range o.warnings {
		changed = append(changed, "warning: "+w)
	}
	if len(changed) == 0 {
		return ""
	}
	return strings.Join(changed, "\n") + "\n"
}

// hashProblems: a container's hash changes exactly if something changes that would make the container another one. Images
// are compared by their IDs; hooks belong to the container; and the labels that name the project's files decide nothing.
func hashProblems(base, o outcome) []string {
	if base.desired == nil || o.desired == nil {
		return nil
	}
	var problems []string
	for _, was := range base.desired.Services {
		is := o.desired.Service(was.Name)
		if is == nil || len(is.Containers) == 0 || len(was.Containers) == 0 {
			continue
		}
		differs := slices.ContainsFunc(difference(linesOf(was.Containers[0]), linesOf(is.Containers[0])), decides)
		hooks := func(s *Service) []string { return linesOf([]any{s.PreStart, s.PostStart, s.PreStop}) }
		differs = differs || !slices.Equal(hooks(&was), hooks(is))
		if same := was.Containers[0].Hash == is.Containers[0].Hash; same == differs {
			problems = append(problems, "the hash of "+was.Name+" does not tell whether it is another container")
		}
	}
	return problems
}

func decides(line string) bool {
	path := pathOf(line)
	return path != "Name" && path != "Config.Image" && !strings.Contains(path, "Labels.com.docker.compose.")
}

// supportOf is what the table says about the attribute, or about the nearest one above. One that is there to hold others is
// done.
func supportOf(attribute string) Support {
	for name := attribute; name != ""; name = parentOf(name) {
		if s, ok := table[name]; ok {
			s.Attribute = attribute
			return s
		}
	}
	if listedBelow[attribute] {
		return Support{Attribute: attribute, State: Done}
	}
	return Support{Attribute: attribute}
}

func parentOf(attribute string) string {
	if name, ok := strings.CutSuffix(attribute, "[]"); ok {
		return name
	}
	return attribute[:max(0, strings.LastIndexByte(attribute, '.'))]
}

// checkTestsExist looks for "folder.TestName" in this module. "folder.TestName/name" is about an archive of that name in the
// folder's test data.
func checkTestsExist(t *testing.T, tests []string) {
	for _, name := range tests {
		folder, test, _ := strings.Cut(name, ".")
		test, archive, _ := strings.Cut(test, "/")
		folder = filepath.Join("../..", folder)
		files, _ := filepath.Glob(folder + "/*_test.go")
		found := slices.ContainsFunc(files, func(path string) bool {
			text, _ := os.ReadFile(path)
			return strings.Contains(string(text), "func "+test+"(t *testing.T)")
		})
		if archives, _ := filepath.Glob(folder + "/testdata/*/" + archive + ".txtar"); archive != "" && len(archives) == 0 {
			found = false
		}
		if !found {
			t.Errorf("there is no test %s", name)
		}
	}
}
