package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"stackrun.dev/stack/cmd/stack/internal/keep"
	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine/readonly"
	"stackrun.dev/stack/project"
)

// verdict says in a line whether the project is as its files say, and what it waits for. It is empty if there is no file, and
// nobody keeps the project.
func (s *session) verdict(ctx context.Context, sc scope) string {
	if sc.project == nil && !s.isKept(sc.name) {
		return ""
	}
	var parts []string
	if sc.project != nil {
		parts = append(parts, s.compared(ctx, sc))
	}
	if s.isKept(sc.name) {
		parts = append(parts, s.keptSince(ctx, sc.name))
	}
	return "project " + sc.name + " " + strings.Join(parts, "; ")
}

// compared says how the project differs from its files.
func (s *session) compared(ctx context.Context, sc scope) string {
	d, err := s.wish(sc)
	var differs, waits []string
	if err == nil {
		var stopped []string
		if run, key, err := s.placeOf(ctx, sc.name); err == nil {
			i, _ := launch.ReadIntent(run, key) // without it, what was stopped counts as different
			stopped = i.Stopped
		}
		differs, waits, err = convergence.Look(ctx, readonly.New(s.Engine), d, stopped, plan.UpOptions{AllResources: s.global.allResources})
	}
	switch {
	case err != nil:
		return "cannot be compared with its files: " + err.Error()
	case len(differs) > 0:
		return "is not converged: " + few(differs)
	case len(waits) > 0:
		return "is converged, but " + few(waits)
	}
	return "is converged"
}

// wish is what the project's files want, with the scale that it is kept with.
func (s *session) wish(sc scope) (*desired.Project, error) {
	var up keptUp
	if s.isKept(sc.name) {
		if e, err := keep.Read(s.target.Root, sc.name); err == nil {
			_ = json.Unmarshal(e.Up, &up) // of another version: the files alone count
		}
	}
	scale, err := parseScale(up.Scale)
	if err != nil {
		return nil, err
	}
	d, _, err := s.desireOf(sc.project, scale)
	return d, err
}

// keptSince says that the engine keeps the project, and how that goes.
func (s *session) keptSince(ctx context.Context, name string) string {
	list, err := s.keeper().List(ctx)
	i := slices.IndexFunc(list, func(k keep.Kept) bool { return k.Project == name })
	if err != nil || i < 0 {
		return "is to be kept by the engine, which does not say how that goes"
	}
	k := list[i]
	text := "kept by the engine since " + k.Since.Local().Format(time.DateTime)
	for _, trouble := range []string{k.Status.Broken, k.Status.Err} {
		if trouble != "" {
			text += ", but " + firstLineOf(trouble)
		}
	}
	if len(k.Status.Waits) > 0 {
		text += "; it waits: " + few(k.Status.Waits)
	}
	return text
}

// few are the first of the texts, and how many there are beside.
func few(texts []string) string {
	const most = 3
	if more := len(texts) - most; more > 0 {
		return strings.Join(texts[:most], "; ") + fmt.Sprintf("; and %d more", more)
	}
	return strings.Join(texts, "; ")
}

func firstLineOf(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// meanwhile works out a text on a goroutine of its own, and returns how to get it.
func (s *session) meanwhile(work func() string) (text func() string) {
	done := make(chan string, 1)
	go func() { done <- work() }()
	return func() string { return <-done }
}

// judge is verdict for a project whose files may be broken.
func (s *session) judge(ctx context.Context, sc scope, broken error) string {
	if broken != nil {
		text := "project " + sc.name + " cannot be compared with its files: " + strings.TrimSpace(broken.Error())
		if s.isKept(sc.name) {
			text += "\nproject " + sc.name + " is " + s.keptSince(ctx, sc.name)
		}
		return text
	}
	return s.verdict(ctx, sc)
}

// nameOfBroken is the name of the project whose files are broken: the one that was given, or that of the containers which were
// made of the files of this directory. Otherwise it is broken.
func (s *session) nameOfBroken(ctx context.Context, broken error) (string, error) {
	var mistakes project.Errors
	var mistake *project.Error
	if !errors.As(broken, &mistakes) && !errors.As(broken, &mistake) {
		return "", broken
	}
	if name := cmp.Or(s.global.projectName, s.getenv("COMPOSE_PROJECT_NAME")); name != "" {
		return name, nil
	}
	dir, err := os.Getwd()
	if err != nil || len(s.global.files) > 0 || s.global.projectDir != "" {
		return "", broken
	}
	list, err := s.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", desired.LabelWorkingDir+"="+dir))})
	if err != nil || len(list) == 0 {
		return "", broken
	}
	return list[0].Labels[desired.LabelProject], nil
}
