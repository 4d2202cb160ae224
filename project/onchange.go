package project

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/grammar"
	"stackrun.dev/stack/project/internal/tree"
)

// OnChange is what a service's x-stack says in on_change: what is done to its containers when files change that they see through
// bind mounts. There is nothing to copy then, and yet many programs read their files only once. One of Restart, Signal and
// Exec is set.
//
//	x-stack:
//	  on_change: restart
//
//	x-stack:
//	  on_change:
//	    - signal: SIGHUP
//	      paths: ["conf/**"]
//	    - exec: [bin/compile]
//	      paths: ["**/*.scss"]
//	      ignore: [vendor/]
type OnChange struct {
	Restart bool
	Signal  string   // with SIG, such as SIGHUP, or a number
	Exec    []string // a command and its arguments

	Paths  []string // Docker's patterns, relative to each bind mount's source; empty: all files
	Ignore []string // patterns of files that do not count
	Place  Position // where it is written

	project *Project
	path    []string
}

// Mistake is an Error about what is said, or about the value that it has under the key.
func (c OnChange) Mistake(problem, fix string, key ...string) *Error {
	return c.project.mistake(invalidOnChange, problem, fix, append(slices.Clone(c.path), key...)...)
}

const (
	xStack      = "x-stack"
	onChangeKey = "on_change"

	invalidOnChange = "invalid-on-change"
	onChangeForms   = "write restart, or one of {restart: true}, {signal: SIGHUP} and {exec: [command, argument]}, with paths and ignore if you like, or a list of those"
)

var onChangeKeys = []string{"exec", "ignore", "paths", "restart", "signal"}

// OnChange is what the service's x-stack says in on_change, in its order.
func (p *Project) OnChange(service string) []OnChange {
	r := &onChangeReader{project: p}
	r.read(service)
	return r.found
}

// onChange reports what is wrong with on_change, and where it can have no effect.
func (v *validator) onChange(s types.ServiceConfig) {
	r := &onChangeReader{project: v.Project}
	r.read(s.Name)
	for _, e := range r.errors {
		if !v.full() {
			v.errors = v.errors.with(e)
		}
	}
	bound := slices.ContainsFunc(s.Volumes, func(m types.ServiceVolumeConfig) bool { return m.Type == types.VolumeTypeBind })
	if len(r.found) > 0 && !bound {
		const problem = "on_change has no effect: it is about the files of bind mounts, of which service %s has none; use develop.watch for files that are copied"
		v.warn("no-effect", fmt.Sprintf(problem, s.Name), v.place([]string{"services", s.Name, xStack, onChangeKey}))
	}
}

// onChangeReader reads the on_change of one service.
type onChangeReader struct {
	project *Project
	found   []OnChange
	errors  Errors
}

func (r *onChangeReader) fail(v *tree.Value, problem, fix string) {
	r.errors = append(r.errors, mistakeAt(r.project.sources, v.Place, invalidOnChange, problem, fix))
}

func (r *onChangeReader) read(service string) {
	path := []string{"services", service, xStack, onChangeKey}
	e, n := r.project.root.Find(path...)
	switch {
	case n < len(path) || e.Value == nil || r.project.options.NoInterpolate:
	case e.Value.Kind != tree.List:
		r.one(e.Value, path)
	case len(e.Value.Items) == 0:
		r.fail(e.Value, "on_change is empty", onChangeForms)
	default:
		for i, item := range e.Value.Items {
			r.one(item, append(slices.Clone(path), index(i)))
		}
	}
}

// one reads a reaction.
func (r *onChangeReader) one(v *tree.Value, path []string) {
	before := len(r.errors)
	c := OnChange{Place: positionOf(v.Place), project: r.project, path: path}
	switch {
	case v.Kind == tree.String && v.Text == "restart":
		c.Restart = true
	case v.Kind == tree.Map:
		r.mapping(v, &c)
	case v.Kind == tree.String:
		r.fail(v, fmt.Sprintf("on_change cannot be %q", v.Text), onChangeFix(v.Text))
	default:
		r.fail(v, "on_change is a text, a mapping or a list of those", onChangeForms)
	}
	if len(r.errors) == before {
		r.found = append(r.found, c)
	}
}

// onChangeFix says what may have been meant by a text that is none.
func onChangeFix(text string) string {
	if near := suggest(text, []string{"restart"}); near != "" {
		return near
	}
	if grammar.Signal(text) == nil && strings.HasPrefix(strings.ToUpper(text), "SIG") {
		return fmt.Sprintf("write {signal: %s}", text)
	}
	return onChangeForms
}

func (r *onChangeReader) mapping(v *tree.Value, c *OnChange) {
	before, actions := len(r.errors), 0
	for _, e := range v.Entries {
		if e.Value == nil || e.Value.Kind == tree.Null {
			r.errors = append(r.errors, mistakeAt(r.project.sources, e.At, invalidOnChange, e.Key+" has no value", "give it one, or remove it"))
			continue
		}
		switch e.Key {
		case "restart":
			c.Restart = r.yes(e.Value)
			actions++
		case "signal":
			c.Signal = r.signal(e.Value)
			actions++
		case "exec":
			c.Exec = r.command(e.Value)
			actions++
		case "paths":
			c.Paths = r.patterns(e.Key, e.Value)
		case "ignore":
			c.Ignore = r.patterns(e.Key, e.Value)
		default:
			problem := fmt.Sprintf("on_change has no key %q; it has %s", e.Key, strings.Join(onChangeKeys, ", "))
			r.errors = append(r.errors, mistakeAt(r.project.sources, e.At, "unknown-key", problem, suggest(e.Key, onChangeKeys)))
		}
	}
	switch {
	case len(r.errors) > before:
	case actions == 0:
		r.fail(v, "on_change does not say what to do", "add restart: true, signal: SIGHUP or exec: [command, argument]")
	case actions > 1:
		r.fail(v, "on_change does one thing at a time", "keep one of restart, signal and exec, or write a list of mappings with one each")
	}
}

// yes reads true. A text is what a variable gives.
func (r *onChangeReader) yes(v *tree.Value) bool {
	if v.Scalar() && v.Text == "true" {
		return true
	}
	r.fail(v, "restart can only be true", "write restart: true, or remove on_change")
	return false
}

func (r *onChangeReader) signal(v *tree.Value) string {
	const fix = "write its name or number, for example SIGHUP or 1"
	if !v.Scalar() || v.Text == "" {
		r.fail(v, "signal is the name of a signal", fix)
		return ""
	}
	name := strings.ToUpper(v.Text)
	if strings.Trim(name, "0123456789") != "" && !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if fault := grammar.Signal(v.Text); fault != nil {
		r.fail(v, fault.Problem, cmp.Or(suggest(name, signalNames), fix))
		return ""
	}
	return name
}

// signalNames are those that programs commonly take for a wish to read their files again, or to end.
var signalNames = []string{"SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGWINCH"}

func (r *onChangeReader) command(v *tree.Value) []string {
	fix := "write a list: exec: [command, argument]"
	if words := strings.Fields(v.Or("")); len(words) > 0 {
		fix = "write a list: exec: [" + strings.Join(words, ", ") + "]"
	}
	if v.Kind != tree.List || len(v.Items) == 0 {
		r.fail(v, "exec is a command with its arguments", fix)
		return nil
	}
	out := make([]string, len(v.Items))
	for i, item := range v.Items {
		if !item.Scalar() || i == 0 && item.Text == "" {
			r.fail(item, "exec is a command with its arguments", fix)
			return nil
		}
		out[i] = item.Text
	}
	return out
}

func (r *onChangeReader) patterns(key string, v *tree.Value) []string {
	items := v.Items
	if v.Scalar() {
		items = []*tree.Value{v}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		if !item.Scalar() || item.Text == "" {
			r.fail(item, key+" is a list of patterns", `write a list: `+key+`: ["**/*.py", conf/]`)
			continue
		}
		if fault := grammar.Pattern(item.Text); fault != nil {
			r.fail(item, fault.Problem, fault.Fix)
		}
		out = append(out, item.Text)
	}
	if v.Kind == tree.Map || v.Kind == tree.List && len(items) == 0 {
		r.fail(v, key+" is a list of patterns", `write a list: `+key+`: ["**/*.py", conf/]`)
	}
	return out
}
