package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/project"
)

// writeExplanations is config --explain.
func (a *app) writeExplanations(out io.Writer, o configOptions, p *project.Project) error {
	if o.format == "yaml" {
		return usagef("--explain prints a text, or JSON with --format json")
	}
	list, err := p.Explain(o.explain...)
	if err != nil {
		return err
	}
	if o.format == "json" {
		return view.JSON(out, append([]project.Explanation{}, list...))
	}
	dir, _ := os.Getwd() // without it, paths are absolute
	e := explainer{dir: dir}
	for i := range list {
		e.explain(&list[i])
	}
	_, err = io.WriteString(out, e.text.String())
	return err
}

// explainer writes explanations for people: each value, and below it where it comes from.
type explainer struct {
	dir  string // paths below it are shown from there
	text strings.Builder
}

func (e *explainer) explain(x *project.Explanation) {
	fmt.Fprintf(&e.text, "%s = %s\n", view.Clean(x.Path), oneLine(x.Value))
	if x.Source == nil {
		e.line("added", x.Reason)
	} else {
		e.source("written", x.Source, x.Value)
		if x.Reason != "" {
			e.line("note", x.Reason)
		}
	}
	for i := range x.Overrides {
		e.source("overrides", &x.Overrides[i], "")
	}
}

// source writes where a value is written, and the text if it is not the value itself.
func (e *explainer) source(label string, s *project.ExplanationSource, value string) {
	at := e.place(s.File, s.Line, s.Col)
	if s.Text != value && s.Text != "null" {
		at += "  " + oneLine(s.Text)
	}
	e.line(label, at)
	for _, v := range s.Via {
		e.line(v.Kind, "by "+e.place(v.File, v.Line, v.Col))
	}
	for _, v := range s.Variables {
		switch {
		case !v.Set:
			e.line("variable", view.Clean(v.Name)+" is not set")
		case v.Origin == "":
			e.line("variable", view.Clean(v.Name)+"="+oneLine(v.Value))
		default:
			e.line("variable", view.Clean(v.Name)+"="+oneLine(v.Value)+"  from "+e.origin(v.Origin))
		}
	}
}

func (e *explainer) line(label, text string) { fmt.Fprintf(&e.text, "    %-9s  %s\n", label, text) }

func (e *explainer) place(file string, line, col int) string {
	if file == "" {
		return "nowhere"
	}
	return fmt.Sprintf("%s:%d:%d", e.short(file), line, col)
}

// origin is "the environment", or the place in an env file.
func (e *explainer) origin(origin string) string {
	if origin == "environment" {
		return "the environment"
	}
	return e.short(origin)
}

func (e *explainer) short(path string) string {
	if rel, err := filepath.Rel(e.dir, path); err == nil && e.dir != "" && filepath.IsLocal(rel) {
		path = rel
	}
	return view.Clean(path)
}

// oneLine quotes what would not stay on its line.
func oneLine(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		return strconv.Quote(text)
	}
	return view.Clean(text)
}
