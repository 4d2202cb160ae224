package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/distribution/reference"
	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/project"
)

// loadMerged merges the files and leaves their variables.
func (a *app) loadMerged(ctx context.Context, o project.Options) (*project.Merged, error) {
	m, warnings, err := project.LoadMerged(ctx, o)
	if warnErr := a.warn(warnings); warnErr != nil {
		return nil, warnErr
	}
	return m, err
}

// writeRaw is config --no-interpolate. A value with a variable in it can have any type, so the project is printed as the files
// say it together and not as it is understood.
func (a *app) writeRaw(ctx context.Context, out io.Writer, o configOptions, load project.Options, services []string) error {
	m, err := a.loadMerged(ctx, load)
	if err != nil {
		return err
	}
	if o.lists.services {
		return printLines(out, m.Services())
	}
	if o.lists.any() || o.hash != "" || o.environment || len(o.explain) > 0 {
		return usagef("--no-interpolate goes with --services and with what prints the whole project")
	}
	if len(services) > 0 {
		if err := a.warn([]project.Warning{{Text: "with --no-interpolate all services are printed, not only those named"}}); err != nil {
			return err
		}
	}
	if o.pin {
		if err := a.pinMerged(ctx, m); err != nil {
			return err
		}
	}
	if o.lock {
		m.KeepImages()
	}
	marshal := m.MarshalYAML
	if o.format == "json" {
		marshal = m.MarshalJSON
	}
	text, err := marshal()
	if err != nil {
		return fmt.Errorf("cannot print the project: %w", err)
	}
	_, err = fmt.Fprintln(out, string(bytes.TrimRight(text, "\n")))
	return err
}

func (a *app) pinMerged(ctx context.Context, m *project.Merged) error {
	return a.with(ctx, func(s *session) error {
		return m.MapImages(func(image string) (string, error) {
			name, err := reference.ParseDockerRef(image)
			if err != nil {
				return "", fmt.Errorf("cannot read the image name %q: %w", image, err)
			}
			if _, pinned := name.(reference.Canonical); pinned {
				return image, nil
			}
			digest, err := digestOf(ctx, s, name)
			if err != nil {
				return "", err
			}
			pinned, err := reference.WithDigest(name, digest)
			if err != nil {
				return "", err
			}
			return pinned.String(), nil
		})
	})
}

// variable is a variable as Compose prints it.
type variable struct {
	Name, DefaultValue, PresenceValue string

	Required bool
}

// writeVariables is config --variables.
func (a *app) writeVariables(ctx context.Context, out io.Writer, o configOptions, load project.Options, services []string) error {
	if len(services) > 0 {
		if err := a.warn([]project.Warning{{Text: "the variables of all services are listed, not only of those named"}}); err != nil {
			return err
		}
	}
	m, err := a.loadMerged(ctx, load)
	if err != nil {
		return err
	}
	list := m.Variables()
	byName := make(map[string]variable, len(list))
	table := view.Table{Header: []string{"NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"}}
	for _, v := range list {
		byName[v.Name] = variable{v.Name, v.Default, v.Alternate, v.Required}
		table.Rows = append(table.Rows, []string{v.Name, fmt.Sprint(v.Required), v.Default, v.Alternate})
	}
	switch o.format {
	case "json":
		text, err := json.Marshal(byName)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, string(text))
		return err
	case "yaml":
		text, err := yaml.Marshal(byName)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	return table.Write(out)
}
