// Package model makes a merged tree into compose-go's types.Project: short forms become long, defaults and names are filled
// in, relative paths become absolute, environments are completed, and the values are decoded.
//
// Build works in this order: decode → defaults → paths → networks, names, implied dependencies → environment → profiles.
// The tree is not changed by it, so that its places stay good for messages.
package model

import (
	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// Options says what a tree is made into.
type Options struct {
	Name     string            // of the project
	Dir      string            // where relative paths start that no file states, absolute
	Env      map[string]string // the project's variables; a value of a file with an Env is looked up there first
	Profiles []string          // the active ones; "*" is all

	NoNormalize      bool // no default network, names of resources, implied dependencies and build defaults
	NoPathResolution bool // relative paths stay relative
	NoEnvResolution  bool // env_file and label_file are not read

	// Merge merges two services in their long form, as extends does; neither is changed. It completes pre_start hooks,
	// which inherit from their service. Without it they do not.
	Merge func(base, over *tree.Value) *tree.Value
}

// Error is a mistake in what the user wrote.
type Error struct {
	Place   tree.Place
	Problem string
	Fix     string // what to write instead; may be empty
}

func (e Error) Error() string { return e.Problem }

// Build makes the project of a tree in its long form. There may be several errors; then there is no project.
func Build(root *tree.Value, o Options) (*types.Project, []Error) {
	return nil, nil
}

// ReadFiles completes the environment and labels of the services with their env_file and label_file. Build does so for
// those that the profiles let in; this is for a service that is let in later.
func ReadFiles(p *types.Project, root *tree.Value, o Options, services ...string) []Error {
	return nil
}
