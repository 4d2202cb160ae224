package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
)

// What an operation is made of, for those who read a plan: enough to understand it, and nothing that may be a secret. Of
// environments, build arguments and options of drivers the names are shown, of files the places.

type shownContainer struct {
	Image       string            `json:"image"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Command     []string          `json:"command,omitempty"`
	Environment []string          `json:"environment,omitempty"` // names
	Settings    map[string]string `json:"settings,omitempty"`    // all others, by their names in the Engine API
}

type shownNetwork struct {
	Driver   string        `json:"driver,omitempty"`
	Internal bool          `json:"internal,omitempty"`
	IPAM     *network.IPAM `json:"ipam,omitempty"`
	Options  []string      `json:"options,omitempty"` // names
}

type shownVolume struct {
	Driver  string   `json:"driver,omitempty"`
	Options []string `json:"options,omitempty"` // names
}

type shownEndpoint struct {
	Aliases []string `json:"aliases,omitempty"`
	Address string   `json:"address,omitempty"`
}

type shownBuild struct {
	Context    string   `json:"context"`
	Dockerfile string   `json:"dockerfile,omitempty"`
	Target     string   `json:"target,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	Arguments  []string `json:"arguments,omitempty"` // names
	Secrets    []string `json:"secrets,omitempty"`   // IDs
	Platform   string   `json:"platform,omitempty"`
}

type shownFile struct {
	Path string `json:"path"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	Mode string `json:"mode"` // octal
}

type shownHook struct {
	Command     []string `json:"command"`
	User        string   `json:"user,omitempty"`
	WorkingDir  string   `json:"workingDir,omitempty"`
	Environment []string `json:"environment,omitempty"` // names
	Privileged  bool     `json:"privileged,omitempty"`
}

// shown is what the operation is made of beside what its own JSON has, or nil.
func shown(op Operation) any {
	switch op := op.(type) {
	case *BuildImage:
		if op.Build != nil {
			return showBuild(op.Build)
		}
	case *CreateNetwork:
		o := op.Options
		return shownNetwork{Driver: o.Driver, Internal: o.Internal, IPAM: o.IPAM, Options: names(o.Options)}
	case *ConnectNetwork:
		if op.Settings != nil {
			return showEndpoint(op.Settings)
		}
	case *CreateVolume:
		return shownVolume{Driver: op.Options.Driver, Options: names(op.Options.DriverOpts)}
	case *CreateContainer:
		if op.Config.Config != nil {
			return showContainer(op.Config.Config, op.Settings)
		}
	case *CopyFiles:
		return showFiles(op.Files)
	case *RunHook:
		h := op.Hook
		return shownHook{Command: h.Command, User: h.User, WorkingDir: h.WorkingDir, Environment: variables(h.Env), Privileged: h.Privileged}
	}
	return nil
}

func showContainer(c *container.Config, settings desired.Settings) shownContainer {
	out := shownContainer{Image: c.Image, Entrypoint: c.Entrypoint, Command: c.Cmd, Environment: variables(c.Env)}
	for _, s := range settings {
		if s.Name == "Entrypoint" || s.Name == "Cmd" || isSecret(s.Name) {
			continue
		}
		if out.Settings == nil {
			out.Settings = make(map[string]string)
		}
		out.Settings[s.Name] = s.Value
	}
	return out
}

func isSecret(setting string) bool {
	return slices.ContainsFunc(secretSettings, func(p string) bool { return strings.HasPrefix(setting, p) })
}

func showEndpoint(e *network.EndpointSettings) shownEndpoint {
	out := shownEndpoint{Aliases: e.Aliases}
	if e.IPAMConfig != nil {
		out.Address = cmp.Or(e.IPAMConfig.IPv4Address, e.IPAMConfig.IPv6Address)
	}
	return out
}

func showBuild(b *desired.Build) shownBuild {
	out := shownBuild{
		Context: withoutUser(b.Context), Dockerfile: b.Dockerfile, Target: b.Options.Target, Tags: b.Options.Tags,
		Arguments: names(b.Options.BuildArgs), Platform: b.Options.Platform,
	}
	if b.Inline != "" {
		out.Dockerfile = "(in the Compose file)"
	}
	for _, s := range b.Kit.Secrets {
		out.Secrets = append(out.Secrets, s.ID)
	}
	return out
}

// withoutUser is the address of a remote context without a token that may be in it.
func withoutUser(context string) string {
	u, err := url.Parse(context)
	if err != nil || u.Host == "" || u.User == nil {
		return context
	}
	u.User = nil
	return u.String()
}

func showFiles(files []desired.File) []shownFile {
	out := make([]shownFile, len(files))
	for i, f := range files {
		out[i] = shownFile{Path: f.Path, UID: f.UID, GID: f.GID, Mode: fmt.Sprintf("%04s", strconv.FormatInt(f.Mode, 8))}
	}
	return out
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// variables are the names of NAME=value.
func variables(env []string) []string {
	out := make([]string, len(env))
	for i, line := range env {
		out[i], _, _ = strings.Cut(line, "=")
	}
	return out
}
