package plan

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// example is a plan with one operation of every kind that hides what it is made of.
func example(change func(*Plan)) *Plan {
	secret := []string{"PASSWORD=geheim"}
	p := &Plan{Project: "x", Notes: []string{"a note"}, Undecided: true, Later: []string{"b", "a"}, Operations: []Operation{
		&CreateNetwork{Header: Header{ID: "create network n"}, Name: "n", Options: network.CreateOptions{Options: map[string]string{"key": "geheim"}}},
		&CreateVolume{Header: Header{ID: "create volume v"}, Options: volume.CreateOptions{DriverOpts: map[string]string{"o": "password=geheim"}}},
		&BuildImage{Header: Header{ID: "build image i"}, Ref: "i", Build: &desired.Build{
			Context: "https://geheim@example.test/repo.git", Kit: desired.BuildKit{Secrets: []desired.BuildSecret{{ID: "token", Content: []byte("geheim")}}},
		}},
		&CreateContainer{
			Header: Header{ID: "create container x-web-1", Needs: []string{"create network n"}, Cause: "it is not there", Service: "web"},
			Name:   "x-web-1", ImageID: "sha256:aa",
			Config:   engine.CreateConfig{Config: &container.Config{Image: "web:1", Cmd: []string{"serve"}, Env: secret}},
			Settings: desired.Settings{{Name: "Env.PASSWORD", Value: "geheim"}, {Name: "Ports.80:80/tcp"}, {Name: "Files./f", Value: "geheim"}},
		},
		&CopyFiles{Header: Header{ID: "copy files to container x-web-1", Needs: []string{"create container x-web-1"}}, Container: "x-web-1", Files: []desired.File{{Path: "/f", Content: []byte("geheim"), Mode: 0o44}}},
		&ConnectNetwork{Header: Header{ID: "connect network n to x-db-1"}, Network: "n", Container: "db-id", Settings: &network.EndpointSettings{Aliases: []string{"db"}}},
		&WaitHealthy{Header: Header{ID: "wait for the health of container x-db-1"}, Container: "db-id"},
		&StartContainer{Header: Header{ID: "start container x-web-1", Needs: []string{"copy files to container x-web-1", "wait for the health of container x-db-1"}}, Container: "x-web-1"},
		&RunHook{Header: Header{ID: "run post_start[0] in container x-web-1", Needs: []string{"start container x-web-1"}}, Hook: desired.Hook{Command: []string{"warm"}, Env: secret}},
	}}
	if change != nil {
		change(p)
	}
	return p.sort()
}

func find[T Operation](p *Plan) T {
	i := slices.IndexFunc(p.Operations, func(op Operation) bool { _, ok := op.(T); return ok })
	return p.Operations[i].(T)
}

// Whatever decides changes the canonical form, and the difference names it; what does not decide changes nothing.
func TestCanonical(t *testing.T) {
	was := example(nil).Canonical()
	for _, c := range []struct {
		name   string
		change func(*Plan)
		want   []string
	}{
		{"nothing", func(*Plan) {}, nil},
		{"note", func(p *Plan) { p.Notes = []string{"another"} }, nil},
		{"healthy meanwhile", func(p *Plan) {
			p.Operations = slices.DeleteFunc(p.Operations, func(op Operation) bool { _, ok := op.(*WaitHealthy); return ok })
			h := find[*StartContainer](p).Head()
			h.Needs = h.Needs[:1]
		}, nil},
		{"cause", func(p *Plan) { find[*CreateContainer](p).Cause = "other\ncause" }, []string{
			"- create container x-web-1: because it is not there", `+ create container x-web-1: because other\ncause`,
		}},
		{"container", func(p *Plan) { find[*ConnectNetwork](p).Container = "new-id" }, []string{
			"- connect network n to x-db-1: container db-id", "+ connect network n to x-db-1: container new-id",
		}},
		{"image", func(p *Plan) { find[*CreateContainer](p).ImageID = "sha256:bb" }, []string{
			"- create container x-web-1: imageid sha256:aa", "+ create container x-web-1: imageid sha256:bb",
		}},
		{"order", func(p *Plan) { find[*CreateContainer](p).Needs = []string{"create volume v"} }, []string{
			"- create container x-web-1: after create network n", "+ create container x-web-1: after create volume v",
		}},
		{"later", func(p *Plan) { p.Later = []string{"a"} }, []string{"- decided afterwards: service b"}},
		{"gone and new", func(p *Plan) { find[*CreateNetwork](p).ID, find[*CreateContainer](p).Needs = "create network m", nil }, []string{
			"- create network n", "- create container x-web-1: after create network n", "+ create network m",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Difference(was, example(c.change).Canonical())
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// A kept plan may have been written by anybody.
func TestDifferenceGivesNoOrders(t *testing.T) {
	got := Difference("project x\n\x1b[2Jgo\n  because \x1b]0;title\a\n", "project x\n")
	if want := []string{"- ?[2Jgo: ?]0;title?"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What an operation hides counts too, and only a digest of it is shown.
func TestCanonicalCoversWhatIsHidden(t *testing.T) {
	was := example(nil).Canonical()
	for name, change := range map[string]func(*Plan){
		"config":   func(p *Plan) { find[*CreateContainer](p).Config.Config.Env[0] = "PASSWORD=anders" },
		"files":    func(p *Plan) { find[*CopyFiles](p).Files[0].Content = []byte("anders") },
		"hook":     func(p *Plan) { find[*RunHook](p).Hook.User = "root" },
		"options":  func(p *Plan) { find[*CreateVolume](p).Options.DriverOpts["o"] = "password=anders" },
		"settings": func(p *Plan) { find[*ConnectNetwork](p).Settings.Aliases = nil },
		"build":    func(p *Plan) { find[*BuildImage](p).Build.Options.Target = "release" },
	} {
		got := Difference(was, example(change).Canonical())
		if len(got) < 2 || !strings.Contains(got[0], ": "+name+" sha256:") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestPlansShowNoSecrets(t *testing.T) {
	p := example(nil)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for form, got := range map[string]string{"JSON": string(text), "canonical": p.Canonical(), "text": p.Text()} {
		if strings.Contains(got, "geheim") {
			t.Errorf("the %s form shows a secret:\n%s", form, got)
		}
	}
	for _, want := range []string{
		`"version":1`, `"image":"web:1","command":["serve"],"environment":["PASSWORD"],"settings":{"Ports.80:80/tcp":""}`,
		`"with":[{"path":"/f","uid":0,"gid":0,"mode":"0044"}]`, `"with":{"command":["warm"],"environment":["PASSWORD"]}`,
		`"with":{"options":["key"]}`, `"with":{"options":["o"]}`, `"with":{"aliases":["db"]}`,
		`"with":{"context":"https://example.test/repo.git","secrets":["token"]}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the JSON form has no %s:\n%s", want, text)
		}
	}
}
