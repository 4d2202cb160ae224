// Package scripts runs the scripts that specify commands, the same ones on every engine.
//
// A script is a txtar archive for testscript: commands, and the files that they need. It says nothing about the engine; where
// that cannot be helped, the conditions [memory], [embedded] and [docker] tell it. There are the image busybox, and a
// registry at $IMAGES. What a project is named is its script's own, because scripts run side by side.
package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Engine is where scripts run.
type Engine struct {
	// Name is the condition that holds there: Memory, Embedded or Docker.
	Name string

	// Setup sets the variables by which the program finds the engine. It may be nil.
	Setup func(*testscript.Env) error

	// Variables are set for every script.
	Variables map[string]string
}

// The names of engines.
const (
	Memory   = "memory"
	Embedded = "embedded"
	Docker   = "docker"
)

var engines = []string{Memory, Embedded, Docker}

// Params are for testscript.Run. The caller adds which scripts, and commands of its own.
func Params(e Engine) testscript.Params {
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               e.setup,
		Condition: func(name string) (bool, error) {
			if !slices.Contains(engines, name) {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return name == e.Name, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"state":    checkState,
			"await":    awaitState,
			"logged":   awaitLog,
			"printed":  awaitLines,
			"replaced": checkReplaced,
			"save":     save,
		},
	}
}

func (e Engine) setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	for name, value := range e.Variables {
		env.Setenv(name, value)
	}
	if e.Setup != nil {
		if err := e.Setup(env); err != nil {
			return err
		}
	}
	names, err := projects(env.WorkDir)
	if err != nil {
		return err
	}
	env.Values[environment{}] = env
	if e.Name != Memory { // there the engine ends with the script
		env.Defer(func() { removeProjects(env, names) })
	}
	return nil
}

var projectName = regexp.MustCompile(`(?m)^name: (\S+)$`)

// projects are the names of the projects in a script's files.
func projects(dir string) ([]string, error) {
	var names []string
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if m := projectName.FindSubmatch(text); m != nil {
			names = append(names, string(m[1]))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// removeProjects leaves nothing of a script to the others. What cannot be removed ends with the engine.
func removeProjects(env *testscript.Env, names []string) {
	for _, name := range names {
		out, err := command(env.Vars, os.TempDir(), "-p", name, "down", "--volumes", "--timeout", "0").CombinedOutput()
		if err != nil {
			env.T().Log(fmt.Sprintf("cannot remove project %s: %v\n%s", name, err, out))
		}
	}
}

// everywhere are the names of scripts that hold on every engine.
var everywhere = []string{"up-*.txtar", "attached-*.txtar", "watch-*.txtar"}

// ends are the names of those among them that end their engine, and need one of their own of our kind.
const ends = "*-engine-*.txtar"

// Ending are the scripts in a folder that end their engine.
func Ending(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, ends))
	if err != nil || len(found) == 0 {
		t.Fatalf("there are no scripts %s in %s: %v", ends, dir, err)
	}
	return found
}

// Everywhere are the scripts in a folder that hold on every engine. It fails the test if two of them use one project: they
// would see each other's containers.
func Everywhere(t testing.TB, dir string) []string {
	t.Helper()
	var files []string
	owners := map[string]string{}
	for _, pattern := range everywhere {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("there are no scripts %s in %s: %v", pattern, dir, err)
		}
		for _, file := range found {
			claim(t, owners, file)
		}
		files = append(files, slices.DeleteFunc(found, func(file string) bool {
			own, _ := filepath.Match(ends, filepath.Base(file))
			return own
		})...)
	}
	return files
}

// claim writes down whose the projects of a script are.
func claim(t testing.TB, owners map[string]string, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range projectName.FindAllSubmatch(text, -1) {
		name := string(m[1])
		if other, ok := owners[name]; ok && other != file {
			t.Fatalf("%s and %s both have a project %s", filepath.Base(other), filepath.Base(file), name)
		}
		owners[name] = file
	}
}

// command is the program as the script's own commands would run it.
func command(vars []string, dir string, args ...string) *exec.Cmd {
	path := ""
	for _, v := range vars {
		if rest, ok := cutVariable(v, "PATH"); ok {
			path = rest
		}
	}
	cmd := exec.Command(lookUp(path, "stack"), args...)
	cmd.Dir, cmd.Env = dir, vars
	return cmd
}
