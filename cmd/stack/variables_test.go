package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/launch"
)

// variableRows is how many rows the table has at least: rows are added and do not change.
const variableRows = 170

// Each row of the table in docs/variables.md is true: the test gives its command, with its environment and files.
func TestVariablesAreDocumented(t *testing.T) {
	n := eachVariableRow(t, func(t *testing.T, n int, cells []string) {
		r := variableRow{t: t, dir: filepath.Join(t.TempDir(), fmt.Sprintf("row%d", n)), socket: memoryEngine(t)}
		r.check(cells)
	})
	if n < variableRows {
		t.Errorf("%d rows, there were %d", n, variableRows)
	}
}

// eachVariableRow gives the cells of each row to a test of its own, and returns how many rows there are.
func eachVariableRow(t *testing.T, check func(t *testing.T, n int, cells []string)) int {
	t.Helper()
	page, err := os.ReadFile("../../docs/variables.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(line, "|\n"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 6 || strings.TrimSpace(cells[5]) == "" || strings.HasPrefix(line, "| case") {
			continue
		}
		n++
		t.Run(strings.TrimSpace(cells[0]), func(t *testing.T) { check(t, n, cells) })
	}
	return n
}

// memoryEngine serves an engine in memory and returns its address.
func memoryEngine(t *testing.T) string {
	t.Helper()
	handler, closer, err := openMemory(t.Context(), launch.Target{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), closer.Close()); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + l.Addr().String()
}

type variableRow struct {
	t      *testing.T
	dir    string
	socket string
}

func (r *variableRow) check(cells []string) {
	r.t.Helper()
	r.writeFiles(codes(cells[3]), codes(cells[4]))
	code, out, problem := r.run(codes(cells[1]), codes(cells[2]))
	wanted := codes(cells[5])
	want := wanted[len(wanted)-1]
	switch kind := strings.TrimSpace(regexp.MustCompile("`[^`]*`").ReplaceAllString(cells[5], "")); kind {
	case "error":
		if code == 0 || !strings.Contains(problem, want) {
			r.t.Errorf("it ended with %d and %s, want an error with %q", code, problem, want)
		}
		return
	case "output":
		if got := strings.TrimSpace(out); got != want {
			r.t.Errorf("it printed %q, want %q", got, want)
		}
	case "output has":
		if !strings.Contains(out, want) {
			r.t.Errorf("it printed %s, want %q in it", out, want)
		}
	case "is not set":
		if got, ok := printedValue(out, want); ok {
			r.t.Errorf("%s is %q, and should not be set", want, got)
		}
	case "":
		name, value, _ := strings.Cut(want, "=")
		if got, ok := printedValue(out, name); !ok || got != value {
			r.t.Errorf("%s is %q, want %q; all of it:\n%s", name, got, value, out)
		}
	default:
		r.t.Fatalf("%q is no kind of result", kind)
	}
	if code != 0 {
		r.t.Errorf("it ended with %d: %s", code, problem)
	}
}

// codes are the texts in backquotes.
func codes(cell string) []string {
	var out []string
	for i, text := range strings.Split(cell, "`") {
		if i%2 == 1 {
			out = append(out, strings.NewReplacer("⏎", "\n", "⇥", "\t").Replace(text))
		}
	}
	return out
}

// writeFiles writes files, given as name and line by turns, and compose.yaml unless it is one of them.
func (r *variableRow) writeFiles(files, service []string) {
	r.t.Helper()
	texts := map[string]string{}
	for i := 0; i+1 < len(files); i += 2 {
		texts[files[i]] += files[i+1] + "\n"
	}
	for name, text := range texts {
		if name != "compose.yaml" {
			texts[name] = strings.TrimSuffix(text, "\n")
		}
	}
	image := "image: busybox"
	if text, ok := texts["Dockerfile"]; ok {
		image, texts["Dockerfile"] = "build: .", "FROM busybox\n"+text+"\n"
	}
	if _, own := texts["compose.yaml"]; !own {
		texts["compose.yaml"] = "services:\n  web:\n    " + strings.Join(append([]string{image}, service...), "\n    ") + "\n"
	}
	for name, text := range texts {
		path := filepath.Join(r.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// run gives the command; without one, that which prints the container's environment.
func (r *variableRow) run(shell, words []string) (code int, out, problem string) {
	r.t.Helper()
	r.t.Chdir(r.dir)
	environ := append([]string{"DOCKER_HOST=" + r.socket, "STACK_RUN=" + r.dir, "STACK_ROOT=" + r.dir, "HOME=" + r.dir}, shell...)
	env := environment(environ)
	var stdout, stderr bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &stdout, err: &stderr, now: time.Now, environ: environ, getenv: withEnvFile(func(name string) string { return env[name] })}
	args := strings.Fields(strings.Join(words, " "))
	if !regexp.MustCompile(`\b(run|config)\b`).MatchString(strings.Join(args, " ")) {
		args = append(args, "run", "--rm", "web", "env")
	}
	code = run(r.t.Context(), args, a)
	return code, stdout.String(), stderr.String()
}

// dockersVariables are those of Docker's page about the variables of Compose, and of its sources.
const dockersVariables = `COMPOSE_PROJECT_NAME COMPOSE_FILE COMPOSE_PROFILES COMPOSE_CONVERT_WINDOWS_PATHS COMPOSE_PATH_SEPARATOR
	COMPOSE_IGNORE_ORPHANS COMPOSE_REMOVE_ORPHANS COMPOSE_PARALLEL_LIMIT COMPOSE_ANSI COMPOSE_STATUS_STDOUT COMPOSE_ENV_FILES
	COMPOSE_DISABLE_ENV_FILE COMPOSE_MENU COMPOSE_EXPERIMENTAL COMPOSE_PROGRESS COMPOSE_COMPATIBILITY COMPOSE_BAKE COMPOSE_API_VERSION
	COMPOSE_EXPERIMENTAL_GIT_REMOTE COMPOSE_EXPERIMENTAL_OCI_REMOTE
	COMPOSE_HTTP_TIMEOUT COMPOSE_TLS_VERSION COMPOSE_FORCE_WINDOWS_HOST COMPOSE_INTERACTIVE_NO_CLI COMPOSE_DOCKER_CLI_BUILD`

// Each of Docker Compose's variables is on the page, as one that is read or as one that is not.
func TestComposeVariablesAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(pages, "environment.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(dockersVariables) {
		if !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("nothing is said about %s", name)
		}
	}
}

func TestComposeVariablesMayStandInEnvFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(".env", []byte("COMPOSE_ANSI=never\nCOMPOSE_PROGRESS=json\nSTACK_ROOT=/x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for shell, want := range map[string]string{"": "never json", "COMPOSE_ANSI=always": "always json", "COMPOSE_DISABLE_ENV_FILE=1": ""} {
		env := environment([]string{shell})
		getenv := withEnvFile(func(name string) string { return env[name] })
		got := strings.TrimSpace(getenv("COMPOSE_ANSI") + " " + getenv("COMPOSE_PROGRESS") + getenv("STACK_ROOT"))
		if got != want {
			t.Errorf("%q: got %q, want %q", shell, got, want)
		}
	}
}

// printedValue is the value in what env prints; it may have several lines.
func printedValue(out, name string) (string, bool) {
	_, rest, ok := strings.Cut("\n"+out, "\n"+name+"=")
	if next := regexp.MustCompile(`\n[^\n=]+=|\n$`).FindStringIndex(rest); next != nil {
		rest = rest[:next[0]]
	}
	return rest, ok
}
