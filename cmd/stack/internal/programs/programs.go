// Package programs runs the programs beside the engine that a project can ask for: the providers of its services, and the
// model runner. They speak the protocols that Docker Compose has for them.
package programs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/cli/cli-plugins/metadata"
	"github.com/docker/docker/api/types/versions"
)

// Runner finds and runs programs.
type Runner struct {
	env map[string]string
}

// New makes a runner whose programs get the environment, in which host names the engine that the project runs on.
func New(env map[string]string, host string) *Runner {
	own := maps.Clone(env)
	if own == nil {
		own = make(map[string]string)
	}
	own["DOCKER_HOST"] = host
	delete(own, metadata.ReexecEnvvar) // it would make a plugin believe that the docker command runs it
	return &Runner{env: own}
}

// pluginDirs are where the docker command looks for its plugins, beside the user's own folder.
var pluginDirs = []string{
	"/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
	"/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
}

// plugin finds the docker command's plugin of the name, or "".
func (r *Runner) plugin(name string) string {
	if strings.ContainsRune(name, '/') {
		return ""
	}
	config := r.env["DOCKER_CONFIG"]
	if config == "" {
		config = filepath.Join(r.env["HOME"], ".docker")
	}
	dirs := append([]string{filepath.Join(config, "cli-plugins")}, extraDirs(config)...)
	return firstExecutable(append(dirs, pluginDirs...), "docker-"+name)
}

// extraDirs are the plugin folders that the docker command's configuration names.
func extraDirs(config string) []string {
	var file struct {
		Dirs []string `json:"cliPluginsExtraDirs"`
	}
	text, err := os.ReadFile(filepath.Join(config, "config.json"))
	if err != nil || json.Unmarshal(text, &file) != nil {
		return nil // as without a configuration; whoever needs it otherwise complains
	}
	return file.Dirs
}

// inPath finds the program as a shell would, or "".
func (r *Runner) inPath(name string) string {
	if strings.ContainsRune(name, '/') {
		return firstExecutable([]string{""}, name)
	}
	return firstExecutable(filepath.SplitList(r.env["PATH"]), name)
}

func firstExecutable(dirs []string, name string) string {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// endTime is what a program has to end by itself when it is interrupted.
const endTime = 5 * time.Second

// command is a run of the program that ends with the context. What it complains about is kept.
func (r *Runner) command(ctx context.Context, program string, args ...string) (*exec.Cmd, *complaints) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		cmd.Env = append(cmd.Env, name+"="+r.env[name])
	}
	said := &complaints{}
	cmd.Stderr = said
	return cmd, said
}

// output runs the program to its end and returns what it prints.
func (r *Runner) output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd, said := r.command(ctx, program, args...)
	out, err := cmd.Output()
	if err != nil {
		return nil, said.explain(ctx, filepath.Base(program)+" "+args[0], err)
	}
	return out, nil
}

// complaints keeps the end of what a program writes to standard error.
type complaints struct{ end []byte }

const keptComplaints = 2 << 10

func (c *complaints) Write(b []byte) (int, error) {
	c.end = append(c.end, b...)
	if over := len(c.end) - keptComplaints; over > 0 {
		c.end = append(c.end[:0], c.end[over:]...)
	}
	return len(b), nil
}

// explain says why the program failed, in its own words where it has some.
func (c *complaints) explain(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if text := bytes.TrimSpace(c.end); len(text) > 0 {
		return fmt.Errorf("%s failed: %w: %s", what, err, bytes.ToValidUTF8(text, nil))
	}
	return fmt.Errorf("%s failed: %w", what, err)
}

// version is what the plugin says of itself, without a "v", or "".
func (r *Runner) version(ctx context.Context, plugin string) string {
	var said struct{ Version string }
	out, err := r.output(ctx, plugin, "docker-cli-plugin-metadata")
	if err != nil || json.Unmarshal(out, &said) != nil {
		return ""
	}
	return strings.TrimPrefix(said.Version, "v")
}

func older(version, than string) bool { return version != "" && versions.LessThan(version, than) }

// longestLine bounds a line that a program prints about how it goes on.
const longestLine = 64 << 10

// lines calls say for each line that is not empty, as it comes. Too long ones end that, and not the program.
func lines(text io.Reader, say func(string)) {
	scanner := bufio.NewScanner(text)
	scanner.Buffer(nil, longestLine)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			say(line)
		}
	}
	_, _ = io.Copy(io.Discard, text)
}
