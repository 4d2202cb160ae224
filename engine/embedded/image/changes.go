package image

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/go-connections/nat"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// applyChanges carries out Dockerfile instructions that change the configuration alone.
func applyChanges(cfg *dockerspec.DockerOCIImageConfig, changes []string) error {
	for _, line := range changes {
		doc, err := parser.Parse(strings.NewReader(line))
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot read the change %q: %w", line, err)
		}
		for _, node := range doc.AST.Children {
			cmd, err := instructions.ParseInstruction(node)
			if err != nil {
				return engine.Errorf(engine.ErrInvalid, "cannot read the change %q: %w", line, err)
			}
			if err := applyChange(cfg, cmd); err != nil {
				return engine.Errorf(engine.ErrInvalid, "cannot apply the change %q: %w", line, err)
			}
		}
	}
	return nil
}

func applyChange(cfg *dockerspec.DockerOCIImageConfig, cmd any) error {
	switch c := cmd.(type) {
	case *instructions.CmdCommand:
		cfg.Cmd = commandLine(cfg, c.ShellDependantCmdLine)
	case *instructions.EntrypointCommand:
		cfg.Entrypoint = commandLine(cfg, c.ShellDependantCmdLine)
	case *instructions.EnvCommand:
		for _, kv := range c.Env {
			cfg.Env = setEnv(cfg.Env, kv.Key, kv.Value)
		}
	case *instructions.LabelCommand:
		for _, kv := range c.Labels {
			cfg.Labels = put(cfg.Labels, kv.Key, kv.Value)
		}
	case *instructions.ExposeCommand:
		ports, _, err := nat.ParsePortSpecs(c.Ports)
		if err != nil {
			return err
		}
		for _, port := range slices.Sorted(maps.Keys(ports)) {
			cfg.ExposedPorts = put(cfg.ExposedPorts, string(port), struct{}{})
		}
	case *instructions.VolumeCommand:
		for _, dir := range c.Volumes {
			cfg.Volumes = put(cfg.Volumes, dir, struct{}{})
		}
	case *instructions.UserCommand:
		cfg.User = c.User
	case *instructions.WorkdirCommand:
		cfg.WorkingDir = workdir(cfg.WorkingDir, c.Path)
	case *instructions.StopSignalCommand:
		cfg.StopSignal = c.Signal
	case *instructions.HealthCheckCommand:
		cfg.Healthcheck = c.Health
	case *instructions.ShellCommand:
		cfg.Shell = c.Shell
	case *instructions.OnbuildCommand:
		cfg.OnBuild = append(cfg.OnBuild, c.Expression)
	default:
		return engine.Errorf(engine.ErrInvalid, "it changes more than the configuration")
	}
	return nil
}

// commandLine gives the shell form its shell.
func commandLine(cfg *dockerspec.DockerOCIImageConfig, line instructions.ShellDependantCmdLine) []string {
	if !line.PrependShell {
		return line.CmdLine
	}
	shell := cfg.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(slices.Clone(shell), strings.Join(line.CmdLine, " "))
}

func workdir(old, dir string) string {
	if path.IsAbs(dir) {
		return path.Clean(dir)
	}
	return path.Join("/", old, dir)
}

func setEnv(env []string, key, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
	return append(env, key+"="+value)
}

func put[V any](m map[string]V, key string, value V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
