package record

import (
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/convergence/state"
)

func of(t *testing.T, text string, services ...string) *Record {
	t.Helper()
	d := load(t, token, text)
	if d == nil {
		t.Fatalf("cannot load:\n%s", text)
	}
	r := &Record{Desired: d, Up: plan.UpOptions{Services: services}, Images: map[string]string{}, Running: map[string]string{}}
	for ref := range d.Images() {
		r.Images[ref] = "sha256:" + ref
	}
	for _, s := range d.Services {
		r.Running[s.Name] = "sha256:" + s.Image
	}
	return r
}

// Containers are made of the images of then: by the name if that still means the same, else by the ID, and never by a pull or a
// build.
func TestPinned(t *testing.T) {
	r := of(t, small)
	d := r.Pinned(map[string]string{"db": "sha256:db", "web": "sha256:newer"})
	web, db := d.Service("web"), d.Service("db")
	if web.Image != "sha256:web" || web.Containers[0].Config.Config.Image != "sha256:web" || web.Build != nil || web.Pull != desired.PullNever {
		t.Errorf("web is made of %s (%s), build %v, pull %s", web.Image, web.Containers[0].Config.Config.Image, web.Build, web.Pull)
	}
	if db.Image != "db" || db.PreStart[0].Image != "sha256:tool" || db.PreStart[0].Config.Config.Image != "sha256:tool" {
		t.Errorf("db is made of %s, its hook of %s (%s)", db.Image, db.PreStart[0].Image, db.PreStart[0].Config.Config.Image)
	}
	if was := r.Desired.Service("web"); was.Image != "web" || was.Build == nil || was.Containers[0].Config.Config.Image != "web" {
		t.Error("the record itself has changed")
	}
	now := &state.Project{Name: "x", Images: map[string]state.Image{"sha256:web": {ID: "sha256:web"}, "db": {ID: "sha256:db"}, "sha256:tool": {ID: "sha256:tool"}}}
	p, err := plan.Up(d, now, plan.UpOptions{})
	if err != nil || strings.Contains(p.Text(), " image ") {
		t.Errorf("%v\n%s", err, p.Text())
	}
	delete(now.Images, "sha256:web")
	if _, err = plan.Up(d, now, plan.UpOptions{}); err == nil {
		t.Error("it is planned without its image")
	}
}

func TestUses(t *testing.T) {
	want := []Image{{"sha256:db", "db", "db"}, {"sha256:tool", "tool", "db"}, {"sha256:web", "web", "web"}}
	if got := of(t, small).Uses(); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestWithout(t *testing.T) {
	d := Without(load(t, token, small), []string{"web", "other", "new"})
	if d.Service("new") == nil || len(d.Service("new").Containers) != 0 || d.Service("other") != nil || len(d.Services) != 3 {
		t.Errorf("services %v", d.Services)
	}
}

const changed = `
name: x
services:
  web: {image: web2, networks: [front]}
  db: {image: db2, volumes: [data:/data]}
  added: {image: added, networks: [back]}
networks: {front: {internal: true}, back: {}}
volumes: {data: {driver_opts: {type: tmpfs}}}
`

func TestOver(t *testing.T) {
	describe := func(r *Record) string {
		var out []string
		for _, s := range r.Desired.Services {
			out = append(out, s.Name+"="+r.imageOf(&s))
		}
		for _, n := range r.Desired.Networks {
			word := n.Key
			if n.Create.Internal {
				word += " internal"
			}
			out = append(out, word)
		}
		for _, v := range r.Desired.Volumes {
			out = append(out, v.Key+" "+v.Create.DriverOpts["type"])
		}
		return strings.Join(append(out, "not: "+strings.Join(r.Desired.Disabled, " ")), ", ")
	}
	for _, c := range []struct {
		name     string
		before   *Record
		services []string
		want     string
	}{
		{"all", of(t, small), nil, "added=sha256:added, db=sha256:db2, web=sha256:web2, back, default, front internal, data tmpfs, not: "},
		{"one", of(t, small), []string{"web"}, "db=sha256:db, web=sha256:web2, default, front internal, data , not: added other"},
		{"a new one", of(t, small), []string{"added"}, "added=sha256:added, db=sha256:db, web=sha256:web, back, default, front, data , not: other"},
		{"the first", nil, []string{"web"}, "web=sha256:web2, front internal, not: added db"},
	} {
		if got := describe(of(t, changed, c.services...).Over(c.before)); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
	// What a profile keeps out by now goes on as it was.
	before := of(t, strings.Replace(small, ", profiles: [extra]", "", 1))
	after := of(t, strings.Replace(changed, "  added:", "  other: {image: other2, profiles: [extra]}\n  added:", 1))
	want := "added=sha256:added, db=sha256:db2, other=sha256:other, web=sha256:web2, back, default, front internal, data tmpfs, not: "
	if got := describe(after.Over(before)); got != want {
		t.Errorf("switched off:\ngot  %s\nwant %s", got, want)
	}
}

// A run on a service is also about what it depends on, unless that was left out.
func TestCovered(t *testing.T) {
	r := of(t, small, "web")
	if got := r.Covered(); !slices.Equal(got, []string{"db", "web"}) {
		t.Errorf("covered are %q", got)
	}
	r.Up.NoDeps = true
	if got := r.Covered(); !slices.Equal(got, []string{"web"}) {
		t.Errorf("without dependencies covered are %q", got)
	}
}

func TestSame(t *testing.T) {
	was := of(t, small)
	for name, c := range map[string]struct {
		is   *Record
		same bool
	}{
		"again":       {of(t, small), true},
		"of a run":    {of(t, small, "web"), true},
		"another":     {of(t, changed), false},
		"environment": {of(t, strings.Replace(small, `A: "1"`, `A: "2"`, 1)), false},
		"network":     {of(t, strings.Replace(small, "front: {}", "front: {internal: true}", 1)), false},
	} {
		if Same(was, c.is) != c.same {
			t.Errorf("%s: the same %v, want %v", name, !c.same, c.same)
		}
	}
	moved := of(t, small)
	moved.Running["web"] = "sha256:moved"
	if Same(was, moved) {
		t.Error("another image is taken for the same state")
	}
}

// A wish is granted by the states in which what it covers is as it wants it, of whatever images.
func TestWish(t *testing.T) {
	state := of(t, small)
	state.Running["web"] = "sha256:moved"
	for name, c := range map[string]struct {
		wish *Record
		want bool
	}{
		"again":       {of(t, small), true},
		"a part":      {of(t, small, "db"), true},
		"another":     {of(t, changed), false},
		"one fewer":   {of(t, "name: x\nservices:\n  db: {image: db, volumes: [data:/data], pre_start: [{image: tool, command: [migrate]}]}\nvolumes: {data: {}}\n"), false},
		"more":        {of(t, strings.Replace(small, ", profiles: [extra]", "", 1)), false},
		"environment": {of(t, strings.Replace(small, `A: "1"`, `A: "2"`, 1)), false},
		"elsewhere":   {of(t, strings.Replace(small, `A: "1"`, `A: "2"`, 1), "db"), true},
		"volume":      {of(t, strings.Replace(small, "data: {}", "data: {driver_opts: {type: tmpfs}}", 1), "db"), false},
	} {
		if state.Grants(c.wish.Wish()) != c.want {
			t.Errorf("%s: granted %v, want %v", name, !c.want, c.want)
		}
	}
}
