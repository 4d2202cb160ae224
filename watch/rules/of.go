package rules

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// Options says which rules are wanted.
type Options struct {
	Services    []string // empty: all that are on
	Develop     bool     // those of develop.watch
	OnChange    bool     // those of x-stack's on_change
	Dockerfiles bool     // rebuild when a Dockerfile, or the .dockerignore that belongs to it, changes
}

// Of returns the project's rules, by service and in the order in which they are written. It looks at which files there are, and
// reads each .dockerignore. The warnings are about rules that have no effect, or none yet. What cannot be is a project.Errors.
func Of(p *project.Project, o Options) ([]*Rule, []project.Warning, error) {
	m := &maker{Project: p}
	for _, name := range p.ServiceNames() {
		if !o.concerns(name) {
			continue
		}
		var err error
		if o.Develop {
			err = m.develop(name)
		}
		if o.OnChange && err == nil {
			err = m.onChange(name)
		}
		if o.Dockerfiles && err == nil {
			m.dockerfiles(name)
		}
		if err != nil {
			return nil, m.warnings, fmt.Errorf("cannot watch service %s: %w", name, err)
		}
	}
	return m.rules, m.warnings, m.errors.Sorted()
}

// Files are those whose content is part of the rules, beside the project's own: when one of them changes, Of is to be asked again.
// They need not be there.
func Files(p *project.Project, o Options) []string {
	var out []string
	for _, name := range p.ServiceNames() {
		if b := p.Services[name].Build; o.concerns(name) && o.Develop && p.Services[name].Develop != nil && local(b) {
			out = append(out, project.DockerignoreFiles(b.Context, project.Dockerfile(b))...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (o Options) concerns(service string) bool {
	return len(o.Services) == 0 || slices.Contains(o.Services, service)
}

// local says whether the build's context is a folder of this machine.
func local(b *types.BuildConfig) bool { return b != nil && !project.RemoteContext(b.Context) }

// maker collects rules.
type maker struct {
	*project.Project
	rules    []*Rule
	warnings []project.Warning
	errors   project.Errors
}

func (m *maker) warn(rule string, at project.Position, format string, args ...any) {
	m.warnings = append(m.warnings, project.Warning{Position: at, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// add completes the rule and takes it in.
func (m *maker) add(r *Rule, leftOut patterns, context string, ignore ...string) error {
	r.Path = project.RealPath(filepath.Clean(r.Path))
	var err error
	if r.include, err = compile(m.relative(r.Include, r.Path), everywhere); err != nil {
		return err
	}
	if r.ignore, err = compile(slices.Concat(ignore, m.relative(r.Ignore, r.Path)), everywhere); err != nil {
		return err
	}
	r.leftOut, r.context = leftOut, context
	m.rules = append(m.rules, r)
	return nil
}

// everywhere is what the pattern "." of a rule means: all that is below its path.
const everywhere = "**"

// relative takes patterns for relative that name the rule's path in full.
func (m *maker) relative(texts []string, path string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		rest, exception := strings.CutPrefix(strings.TrimSpace(text), "!")
		if filepath.IsAbs(rest) {
			if rel, ok := below(filepath.Clean(rest), path); ok {
				rest = rel
			}
		}
		if out[i] = rest; exception {
			out[i] = "!" + rest
		}
	}
	return out
}

// leftOut is what the .dockerignore of the service's build says, and what that is relative to.
func (m *maker) leftOut(service string) (patterns, string, error) {
	b := m.Services[service].Build
	if !local(b) {
		return nil, "", nil
	}
	texts, err := project.ReadDockerignore(b.Context, project.Dockerfile(b))
	if err != nil {
		return nil, "", err
	}
	out, err := compile(texts, here)
	if err != nil {
		return nil, "", fmt.Errorf("cannot understand .dockerignore: %w", err)
	}
	return out, project.RealPath(b.Context), nil
}

// shown is a path as the user would write it.
func (m *maker) shown(path string) string {
	for _, dir := range []string{m.Dir, project.RealPath(m.Dir)} {
		if rel, ok := below(path, dir); ok {
			return "./" + strings.TrimPrefix(rel, here)
		}
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// comparePaths orders a directory before what is in it, and that before anything else.
func comparePaths(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, "/")
		y, b, _ = strings.Cut(b, "/")
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}
