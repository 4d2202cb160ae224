package project

import (
	"strings"

	"stackrun.dev/stack/project/internal/grammar"
	"stackrun.dev/stack/project/internal/tree"
)

// Disclosures are what a Bundle would tell others that they perhaps should not know, or that it names and does not bring along.
// Values that come from variables are no matter: the variables are published, not what stands for them.
func (p *Project) Disclosures(env bool) []Warning {
	d := &discloser{project: p, env: env}
	services := p.root.Get("services")
	for i := range services.Len() {
		d.service(services.Entries[i].Value)
	}
	for _, kind := range []string{"configs", "secrets"} {
		for _, e := range entries(p.root.Get(kind)) {
			if verbatim(e.Value.Get("content")) {
				d.tell(e.Value.Get("content"), "the content of this one of the "+kind+" is published as it is")
			}
			if file := e.Value.Get("file"); file.Scalar() {
				d.tell(file, "the file "+file.Text+" is named in what is published and does not come with it")
			}
		}
	}
	return d.out
}

type discloser struct {
	project *Project
	env     bool
	out     []Warning
}

func (d *discloser) tell(v *tree.Value, text string) {
	at := Position{}
	if f := v.Place.File; f != nil {
		at = Position{f.Name, v.Place.Line, v.Place.Col}
	}
	d.out = append(d.out, Warning{Position: at, Text: text, Rule: "published"})
}

func (d *discloser) service(s *tree.Value) {
	for _, m := range items(s.Get("volumes")) {
		if kind := m.Get("type"); kind.Scalar() && kind.Text == "bind" && m.Get("source").Scalar() {
			d.tell(m, "the mount of "+m.Get("source").Text+" is published; whoever runs it mounts a folder of their own machine")
		}
	}
	for _, e := range entries(s.Get("environment")) {
		if grammar.NamesSecret(e.Key) && verbatim(e.Value) && !grammar.Harmless(e.Value.Text) {
			d.tell(e.Value, "the value of "+e.Key+" is published as it is; write ${"+e.Key+"} to leave it to whoever runs it")
		}
	}
	for _, f := range items(s.Get("env_file")) {
		if path := f.Get("path"); path.Scalar() {
			if d.env {
				d.tell(path, "the env file "+path.Text+" is published with all that it says")
			} else {
				d.tell(path, "the env file "+path.Text+" is not published and will be missing; --with-env publishes it")
			}
		}
	}
	for _, f := range items(s.Get("label_file")) {
		d.tell(f, "the file "+f.Text+" is named in what is published and does not come with it")
	}
}

// verbatim says whether the value is written without variables.
func verbatim(v *tree.Value) bool {
	return v.Scalar() && v.Text != "" && !strings.Contains(v.Raw, "$")
}
