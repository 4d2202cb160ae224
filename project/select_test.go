package project

import (
	"strings"
	"testing"
)

const selectable = `
services:
  web: {image: a, depends_on: {db: {condition: service_started}, cache: {condition: service_started, required: false}}}
  db: {image: b}
  cache: {image: c, profiles: [extra]}
  other: {image: d}
  tool: {image: e, profiles: [debug], depends_on: [db], env_file: tool.env}
  broken: {image: f, profiles: [bad], networks: [nowhere], depends_on: [cache]}
`

func loadSelectable(t *testing.T) *Project {
	t.Helper()
	dir := t.TempDir()
	if err := writeAll(dir, map[string]string{"compose.yaml": selectable, "tool.env": "A=b\n"}); err != nil {
		t.Fatal(err)
	}
	p, _, err := Load(t.Context(), Options{WorkDir: dir, ProjectName: "x"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSelect(t *testing.T) {
	for _, c := range []struct {
		services string
		alone    bool
		want     string // the services, and what the first one depends on
	}{
		{"", false, "db other web / cache db"},
		{"web", false, "db web / db"},
		{"web", true, "web / "},
		{"other", false, "other / "},
		{"tool", false, "db tool / db"},
		{"tool web", true, "tool web / "},
		{"cache web", false, "cache db web / "},
	} {
		p := loadSelectable(t)
		selected, err := p.Select(strings.Fields(c.services), c.alone)
		if err != nil {
			t.Fatal(err)
		}
		first := "web"
		if c.services != "" {
			first = strings.Fields(c.services)[0]
		}
		got := strings.Join(selected.ServiceNames(), " ") + " / " + strings.Join(sortedKeys(selected.Services[first].DependsOn), " ")
		if got != c.want {
			t.Errorf("%q alone %v: got %q, want %q", c.services, c.alone, got, c.want)
		}
		if len(selected.AllServices()) != len(p.AllServices()) {
			t.Errorf("%q: services are lost", c.services)
		}
		if tool, on := selected.Services["tool"]; on && (tool.Environment["A"] == nil || *tool.Environment["A"] != "b") {
			t.Errorf("the env file of tool is not read")
		}
		if len(p.Services) != 3 || len(p.Services["web"].DependsOn) != 2 {
			t.Error("the project itself has changed")
		}
	}
}

func TestEnable(t *testing.T) {
	p := loadSelectable(t)
	same, err := p.Enable([]string{"web"})
	if err != nil || same != p {
		t.Errorf("nothing had to be switched on: %v", err)
	}
	enabled, err := p.Enable([]string{"tool"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(enabled.ServiceNames(), " "); got != "db other tool web" {
		t.Errorf("got %s", got)
	}
	if a := enabled.Services["tool"].Environment["A"]; a == nil || *a != "b" {
		t.Error("the env file of tool is not read")
	}
}

// What is let in by name is checked like the rest.
func TestSelectChecks(t *testing.T) {
	p := loadSelectable(t)
	for _, choose := range []func([]string) (*Project, error){p.Enable, func(s []string) (*Project, error) { return p.Select(s, false) }} {
		_, err := choose([]string{"broken"})
		want := "network nowhere is not defined|service broken depends on cache, which is off: its profiles are extra"
		for text := range strings.SplitSeq(want, "|") {
			if err == nil || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "compose.yaml:8:") {
				t.Errorf("%q is not in: %v", text, err)
			}
		}
		if _, err := choose([]string{"wbe"}); err == nil || err.Error() != "no such service: wbe\n  did you mean \"web\"?" {
			t.Errorf("got %v", err)
		}
	}
}
