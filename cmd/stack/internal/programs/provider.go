package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/plan"
)

// Provider finds the program of a provider's type: a plugin of the docker command, or a program in the search path. It is ""
// if there is none.
func (r *Runner) Provider(kind string) string {
	if path := r.plugin(kind); path != "" {
		return path
	}
	return r.inPath(kind)
}

// Provide runs the provider's program and returns the variables that it gives. say is told how it goes on.
func (r *Runner) Provide(ctx context.Context, op *plan.RunProvider, say func(string)) (desired.Variables, error) {
	var out desired.Variables
	program := r.Provider(op.Provider.Type)
	if program == "" {
		return out, fmt.Errorf("cannot find the program of provider %s: it is neither a plugin of docker nor in PATH", op.Provider.Type)
	}
	said := r.about(ctx, program)
	command := said.of(op.Do)
	if command == nil {
		return out, nil // it has nothing to do for that
	}
	args, err := command.arguments(op, said.empty())
	if err != nil {
		return out, err
	}
	cmd, complaints := r.command(ctx, program, args...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return out, err
	}
	if err := cmd.Start(); err != nil {
		return out, fmt.Errorf("cannot run the provider of service %s: %w", op.Service, err)
	}
	failed := listen(stdout, &out, say)
	_, _ = io.Copy(io.Discard, stdout) // what follows an error, so that the program can end
	if err := cmd.Wait(); err != nil && failed == nil {
		failed = complaints.explain(ctx, string(op.Do)+" of provider "+op.Provider.Type, err)
	}
	return out, failed
}

// listen reads messages to their end, or to the first one that is an error.
func listen(stdout io.Reader, out *desired.Variables, say func(string)) error {
	messages := json.NewDecoder(stdout)
	for {
		var m message
		if err := messages.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot understand the provider: %w", err)
		}
		if err := m.take(out, say); err != nil {
			return err
		}
	}
}

// message is one thing that a provider has to say.
type message struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func (m message) take(out *desired.Variables, say func(string)) error {
	switch m.Type {
	case "debug":
	case "info":
		line, _, _ := strings.Cut(m.Message, "\n")
		say(line)
	case "error":
		return errors.New(m.Message)
	case "setenv":
		return put(&out.Prefixed, m.Message)
	case "rawsetenv":
		return put(&out.Raw, m.Message)
	default:
		return fmt.Errorf("cannot understand the provider: it sent a message of type %q", m.Type)
	}
	return nil
}

func put(variables *map[string]string, text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return fmt.Errorf("cannot understand the provider: the variable %q is not of the form NAME=value", text)
	}
	if *variables == nil {
		*variables = make(map[string]string)
	}
	(*variables)[name] = value
	return nil
}

// about is what a provider says of itself. Not all do.
type about struct {
	Description string        `json:"description"`
	Up          commandAbout  `json:"up"`
	Down        commandAbout  `json:"down"`
	Stop        *commandAbout `json:"stop"`
}

type commandAbout struct {
	Parameters []struct {
		Name     string `json:"name"`
		Required bool   `json:"required"`
	} `json:"parameters"`
}

// about asks the program about itself; one that does not know the question takes every option.
func (r *Runner) about(ctx context.Context, program string) about {
	var said about
	out, err := r.output(ctx, program, "compose", "metadata")
	if err != nil || json.Unmarshal(out, &said) != nil {
		return about{}
	}
	return said
}

func (a *about) empty() bool {
	return a.Description == "" && a.Up.Parameters == nil && a.Down.Parameters == nil
}

func (a *about) of(do plan.ProviderCommand) *commandAbout {
	switch do {
	case plan.ProviderUp:
		return &a.Up
	case plan.ProviderDown:
		return &a.Down
	}
	return a.Stop
}

// arguments are those of the command: the options that it knows, or all if it has not said which it knows.
func (c *commandAbout) arguments(op *plan.RunProvider, all bool) ([]string, error) {
	args := []string{"compose", "--project-name=" + op.Project, string(op.Do)}
	stated := func(name string) bool {
		return slices.ContainsFunc(op.Provider.Options, func(o desired.Option) bool { return o.Name == name })
	}
	known := make(map[string]bool)
	for _, p := range c.Parameters {
		known[p.Name] = true
		if p.Required && !stated(p.Name) {
			return nil, fmt.Errorf("provider %s of service %s needs the option %s", op.Provider.Type, op.Service, p.Name)
		}
	}
	for _, o := range op.Provider.Options {
		if all || known[o.Name] {
			args = append(args, "--"+o.Name+"="+o.Value)
		}
	}
	return append(args, op.Service), nil
}
