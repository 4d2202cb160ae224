package scripts

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds what a script waits for.
const patience = 60 * time.Second

// environment and known are what commands keep of a script.
type (
	environment struct{} // the *testscript.Env
	known       struct{} // the containers' IDs by name, at the last "replaced"
)

func cutVariable(v, name string) (string, bool) { return strings.CutPrefix(v, name+"=") }

// lookUp finds a program in the folders of a PATH.
func lookUp(path, program string) string {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, program)
		if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return program
}

// split tells the flags of the program from NAME=VALUE, or from names.
func split(args []string, isFlag func(int) bool) (flags, rest []string) {
	for i, arg := range args {
		if isFlag(i) {
			flags = append(flags, arg)
		} else {
			rest = append(rest, arg)
		}
	}
	return flags, rest
}

// splitStates takes what has no = for a flag or its value.
func splitStates(args []string) (flags, want []string) {
	return split(args, func(i int) bool { return strings.HasPrefix(args[i], "-") || !strings.Contains(args[i], "=") })
}

// states are the project's containers, NAME=STATE.
func states(ts *testscript.TestScript, flags []string) []string {
	return listed(ts, flags, "{{.Name}}={{.State}}")
}

func listed(ts *testscript.TestScript, flags []string, format string) []string {
	args := append(slices.Clone(flags), "ps", "--all", "--no-trunc", "--format", format)
	out, err := command(variables(ts), ts.MkAbs("."), args...).Output()
	if err != nil {
		ts.Fatalf("stack %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}

func script(ts *testscript.TestScript) *testscript.Env {
	return ts.Value(environment{}).(*testscript.Env)
}

// variables are the script's, as they are now.
func variables(ts *testscript.TestScript) []string {
	vars := []string{"COMPOSE_FILE=" + ts.Getenv("COMPOSE_FILE"), "COMPOSE_PROJECT_NAME=" + ts.Getenv("COMPOSE_PROJECT_NAME")}
	for _, v := range script(ts).Vars {
		name, _, _ := strings.Cut(v, "=")
		vars = append(vars, name+"="+ts.Getenv(name))
	}
	return vars
}

// checkState compares the project's containers with what the script expects:
//
//	state [flags] web-1=running db-1=exited
//
// Flags are those of the global command line. No names: there are no containers.
func checkState(ts *testscript.TestScript, neg bool, args []string) {
	flags, want := splitStates(args)
	got := states(ts, flags)
	if equal := slices.Equal(got, want); equal == neg {
		ts.Fatalf("containers are %q, want %q", got, want)
	}
}

// awaitState is state that waits until it is so. It looks again at every event of the project.
func awaitState(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! await")
	}
	flags, want := splitStates(args)
	began := time.Now()
	events, end := follow(ts, append(flags, "events", "--json", "--since", began.UTC().Format(time.RFC3339Nano)))
	defer end()
	late := time.After(patience)
	for {
		got := states(ts, flags)
		if slices.Equal(got, want) {
			return
		}
		select {
		case _, ok := <-events:
			if !ok {
				ts.Fatalf("the events ended while containers were %q, want %q", got, want)
			}
		case <-late:
			ts.Fatalf("after %v containers are %q, want %q", patience, got, want)
		}
	}
}

// awaitLog waits until a service has written so many lines that match, and fails if there are more of them:
//
//	logged [flags] SERVICE COUNT PATTERN
func awaitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: logged [flags] SERVICE COUNT PATTERN")
	}
	flags, rest := args[:len(args)-3], args[len(args)-3:]
	count, err := strconv.Atoi(rest[1])
	ts.Check(err)
	pattern, err := regexp.Compile(rest[2])
	ts.Check(err)
	logs := append(slices.Clone(flags), "logs", "--no-log-prefix")
	lines, end := follow(ts, append(logs, "--follow", rest[0]))
	defer end()
	late := time.After(patience)
	for left := count; left > 0; {
		select {
		case line, ok := <-lines:
			if !ok {
				ts.Fatalf("service %s has written %d lines less than %d that match %q", rest[0], left, count, rest[2])
			}
			if pattern.MatchString(line) {
				left--
			}
		case <-late:
			ts.Fatalf("after %v service %s has written %d lines less than %d that match %q", patience, rest[0], left, count, rest[2])
		}
	}
	out, err := command(variables(ts), ts.MkAbs("."), append(logs, rest[0])...).Output()
	ts.Check(err)
	got := 0
	for line := range strings.Lines(string(out)) {
		if pattern.MatchString(strings.TrimRight(line, "\n")) {
			got++
		}
	}
	if got != count {
		ts.Fatalf("service %s has written %d lines that match %q, want %d", rest[0], got, rest[2], count)
	}
}

// follow runs the program and delivers the lines that it writes, until end is called.
func follow(ts *testscript.TestScript, args []string) (lines <-chan string, end func()) {
	cmd := command(variables(ts), ts.MkAbs("."), args...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	all := make(chan string)
	go func() {
		defer close(all)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			all <- lines.Text()
		}
	}()
	return all, func() {
		_ = cmd.Process.Kill()
		for range all {
		}
		_ = cmd.Wait()
	}
}

// checkReplaced compares the containers with those of the last time:
//
//	replaced [flags] web-1 web-2
//
// Those named have another ID than at the last "replaced", and no other has, that was there and is still. The first time
// nothing is compared.
func checkReplaced(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("unsupported: ! replaced")
	}
	flags, want := split(args, func(i int) bool {
		return strings.HasPrefix(args[i], "-") || i > 0 && strings.HasPrefix(args[i-1], "-")
	})
	env := script(ts)
	last, compared := env.Values[known{}].(map[string]string)
	now := map[string]string{}
	for _, line := range listed(ts, flags, "{{.Name}}={{.ID}}") {
		name, id, _ := strings.Cut(line, "=")
		now[name] = id
	}
	env.Values[known{}] = now
	if !compared {
		return
	}
	var got []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if id, ok := last[name]; ok && id != now[name] {
			got = append(got, name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		ts.Fatalf("other containers than before are %q, want %q", got, want)
	}
}
