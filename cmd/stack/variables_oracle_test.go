package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/pkg/kvfile"
	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"
)

// Each row of the table that does not say otherwise is what Docker Compose makes of it, as far as this is decided before a
// container is made.
func TestVariablesAreDockers(t *testing.T) {
	logrus.SetOutput(io.Discard) // compose-go warns there
	t.Cleanup(func() { logrus.SetOutput(os.Stderr) })
	dotenv.RegisterFormat("raw", readRaw)
	checked := 0
	eachVariableRow(t, func(t *testing.T, n int, cells []string) {
		words := strings.Fields(strings.Join(codes(cells[2]), " "))
		if strings.Contains(cells[0], "Docker Compose") || regexp.MustCompile(`(--env|-e|--env-from-file|--strict|--format|--environment)( |$)`).MatchString(strings.Join(words, " ")) {
			return
		}
		r := variableRow{t: t, dir: filepath.Join(t.TempDir(), fmt.Sprintf("row%d", n))}
		r.writeFiles(codes(cells[3]), codes(cells[4]))
		t.Chdir(r.dir)
		for _, pair := range codes(cells[1]) {
			name, value, _ := strings.Cut(pair, "=")
			t.Setenv(name, value)
		}
		p, err := dockersProject(words)
		r.compare(cells, p, err)
		checked++
	})
	if checked < 140 {
		t.Errorf("%d rows were checked", checked)
	}
}

// readRaw is the format that Docker Compose adds to compose-go.
func readRaw(in io.Reader, _ string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines, err := kvfile.ParseFromReader(in, lookup)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		vars[name] = value
	}
	return err
}

// dockersProject goes the way of Docker Compose from its flags to a project.
func dockersProject(words []string) (*types.Project, error) {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetInterspersed(false)
	envFiles := flags.StringArray("env-file", strings.FieldsFunc(os.Getenv("COMPOSE_ENV_FILES"), func(c rune) bool { return c == ',' }), "")
	files := flags.StringArrayP("file", "f", nil, "")
	dir := flags.String("project-directory", "", "")
	name := flags.StringP("project-name", "p", "", "")
	profiles := flags.StringArray("profile", nil, "")
	if err := flags.Parse(words); err != nil {
		return nil, err
	}
	o, err := cli.NewProjectOptions(*files,
		cli.WithWorkingDirectory(*dir), cli.WithOsEnv,
		cli.WithEnvFiles(*envFiles...), cli.WithDotEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath,
		cli.WithEnvFiles(*envFiles...), cli.WithDotEnv, cli.WithDefaultProfiles(*profiles...), cli.WithName(*name))
	if err != nil {
		return nil, err
	}
	return o.LoadProject(context.Background())
}

func (r *variableRow) compare(cells []string, p *types.Project, err error) {
	r.t.Helper()
	wanted := codes(cells[5])
	want := wanted[len(wanted)-1]
	kind := strings.TrimSpace(regexp.MustCompile("`[^`]*`").ReplaceAllString(cells[5], ""))
	if (err != nil) != (kind == "error") {
		r.t.Fatalf("Docker Compose: %v", err)
	}
	switch kind {
	case "output":
		if got := strings.Join(p.ServiceNames(), "\n"); got != want {
			r.t.Errorf("Docker Compose has the services %s", got)
		}
	case "is not set":
		if value := p.Services["web"].Environment[want]; value != nil {
			r.t.Errorf("Docker Compose sets %s=%s", want, *value)
		}
	case "":
		name, text, _ := strings.Cut(want, "=")
		value, set := p.Services["web"].Environment[name]
		if !set && strings.Contains(cells[3], "Dockerfile") {
			return // the engine decides
		}
		if value == nil || *value != text {
			r.t.Errorf("Docker Compose has %s=%v, not %s", name, p.Services["web"].Environment, want)
		}
	}
}
