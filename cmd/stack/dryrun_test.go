package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/engine/memory"
)

// tried is a command line that is run with --dry-run, and its exit code: 0 for a command that shows what it would do, or has
// nothing to do, 2 for a plan, and others for a command that cannot tell without doing it and says so.
type tried struct {
	args []string
	code int
}

func try(code int, line string) tried { return tried{strings.Fields(line), code} }

// dryRuns are all commands that change something, of the engine or on this machine.
var dryRuns = map[string][]tried{
	"up": {
		try(0, "up -d"), try(0, "up -d --build --pull always --force-recreate --remove-orphans --renew-anon-volumes --wait --yes"),
		try(0, "up --no-start"), try(0, "up -d --scale web=3 web"), try(0, "up"), try(0, "up --plan kept.plan"),
		try(0, "up --watch"),
	},
	"watch":         {try(0, "watch"), try(0, "watch --no-up web"), try(16, "watch frozen")},
	"alpha watch":   {try(0, "alpha watch --prune=false --quiet --poll")},
	"create":        {try(0, "create --build --force-recreate")},
	"scale":         {try(0, "scale web=3")},
	"down":          {try(0, "down"), try(0, "down --volumes --rmi all --remove-orphans"), try(0, "down web")},
	"rollback":      {try(0, "rollback")},
	"plan":          {try(2, "plan"), try(2, "plan --format json --force-recreate")},
	"start":         {try(0, "start")},
	"stop":          {try(0, "stop")},
	"restart":       {try(0, "restart")},
	"kill":          {try(0, "kill")},
	"pause":         {try(0, "pause")},
	"unpause":       {try(0, "unpause")},
	"rm":            {try(0, "rm -s -f -v")},
	"run":           {try(1, "run --rm web true"), try(1, "run -d web true")},
	"exec":          {try(1, "exec -T web true")},
	"cp":            {try(1, "cp compose.yaml web:/tmp"), try(1, "cp web:/bin/true got")},
	"attach":        {try(1, "attach --no-stdin web")},
	"build":         {try(17, "build")},
	"pull":          {try(18, "pull")},
	"push":          {try(1, "push")},
	"publish":       {try(0, "publish --yes registry.test/published:v1")},
	"image load":    {try(1, "image load compose.yaml")},
	"image import":  {try(1, "image import compose.yaml made")},
	"image pull":    {try(18, "image pull registry.test/app:v1")},
	"image push":    {try(1, "image push busybox")},
	"image tag":     {try(1, "image tag busybox made")},
	"image rm":      {try(1, "image rm busybox")},
	"engine run":    {try(1, "engine run")},
	"engine env":    {try(1, "engine env")},
	"engine stop":   {try(1, "engine stop")},
	"engine enable": {try(1, "engine enable")},
}

// looks are the commands that only look, and those that are only there for others.
var looks = []string{
	"ps", "logs", "config", "convert", "lint", "wait", "images", "volumes", "ls", "top", "stats", "port", "events", "version",
	"alpha", "image", "image ls", "image save", "image inspect", "engine", "engine status", "guard-terminal",
}

// Every command of the program has a verdict: it changes something and is tried with --dry-run, or it only looks.
func TestEveryCommandHasAVerdictAboutDryRuns(t *testing.T) {
	root := newRoot(&app{out: io.Discard, err: io.Discard, getenv: func(string) string { return "" }})
	known := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(parent *cobra.Command) {
		for _, cmd := range parent.Commands() {
			path := strings.TrimPrefix(cmd.CommandPath(), root.Name()+" ")
			known[path] = true
			if _, changes := dryRuns[path]; changes == slices.Contains(looks, path) {
				t.Errorf("%q changes something, or only looks: say which, in dryRuns or looks", path)
			}
			walk(cmd)
		}
	}
	walk(root)
	for path := range dryRuns {
		if !known[path] {
			t.Errorf("there is no command %q", path)
		}
	}
}

const dryBefore = `
name: dry
services:
  web: {image: busybox, command: [sleep, "1000"], volumes: ["data:/data", /scratch], stop_grace_period: 0s}
  old: {image: busybox, command: [sleep, "1000"], stop_grace_period: 0s}
  frozen: {image: busybox, command: [sleep, "1000"], stop_grace_period: 0s}
volumes: {data: {}}
`

const dryAfter = `
name: dry
services:
  web:
    image: busybox
    command: [sleep, "2000"]
    environment: {A: "1"}
    mem_limit: 64m
    volumes: ["data:/data", /scratch]
    networks: [default, back]
    pre_start: [{command: ["true"]}]
    post_start: [{command: ["true"]}]
    pre_stop: [{command: ["true"]}]
    configs: [{source: c, target: /etc/c}]
    deploy: {update_config: {order: start-first, failure_action: rollback}}
    healthcheck: {test: [CMD, "true"], interval: 1s}
    develop: {watch: [{action: sync+restart, path: src, target: /src}]}
  frozen: {image: busybox, command: [sleep, "1000"], stop_grace_period: 0s}
  built: {image: "registry.test/built:v1", build: {context: ., dockerfile_inline: "FROM busybox"}}
  pulled: {image: registry.test/app:v1, depends_on: {web: {condition: service_healthy, restart: true}}}
  cloud: {provider: {type: cloud, options: {size: big}}}
  user: {image: busybox, depends_on: [cloud]}
networks: {back: {}}
volumes: {data: {driver_opts: {type: tmpfs}}}
configs: {c: {content: hello}}
`

// noEngine is set for programs that a dry run might start: a test that starts itself as an engine would go on for ever.
const noEngine = "STACK_TEST_STARTS_NO_ENGINE"

func init() {
	if os.Getenv(noEngine) != "" && len(os.Args) > 1 && os.Args[1] == "engine" {
		os.Exit(1)
	}
}

// TestDryRunsChangeNothing runs them through a proxy in front of a real engine socket, which lets nothing pass that could write.
func TestDryRunsChangeNothing(t *testing.T) {
	t.Setenv(noEngine, "1")
	d := newDryRun(t)
	d.write(t, dryBefore)
	d.must(t, "up", "-d", "--wait")
	d.write(t, strings.Replace(dryBefore, "1000", "3000", 1))
	d.must(t, "up", "-d", "--wait") // so that there is something to go back to
	d.must(t, "pause", "frozen")
	d.write(t, strings.Replace(dryBefore, "1000", "4000", 1))
	if code := d.run(t, "plan", "--out", "kept.plan"); code != 2 {
		t.Fatalf("no plan to keep: %d\n%s", code, d.out.String())
	}
	d.proxy.shut()
	for _, path := range slices.Sorted(mapKeys(dryRuns)) {
		for _, command := range dryRuns[path] {
			t.Run(strings.Join(command.args, " "), func(t *testing.T) {
				if path != "up" || !slices.Contains(command.args, "kept.plan") {
					d.write(t, dryAfter)
				}
				before := d.files(t)
				code := d.run(t, append([]string{"--dry-run"}, command.args...)...)
				if code != command.code {
					t.Errorf("exit code %d:\n%s", code, d.out.String())
				}
				for _, request := range d.proxy.refused() {
					t.Errorf("a request that could write: %s", request)
				}
				if after := d.files(t); after != before {
					t.Errorf("files were\n%s\nand are\n%s", before, after)
				}
			})
		}
	}
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

// dryRun is a directory with a project, state directories, and an engine behind a proxy.
type dryRun struct {
	dir   string
	env   map[string]string
	proxy *proxy
	out   bytes.Buffer
}

func newDryRun(t *testing.T) *dryRun {
	t.Helper()
	d := &dryRun{dir: t.TempDir()}
	e := memory.New()
	e.AddImage("busybox", container.Config{Cmd: []string{"sh"}})
	e.AddRemoteImage("registry.test/app:v1", container.Config{Cmd: []string{"sleep", "1000"}})
	d.proxy = &proxy{to: dockerapi.New(e, dockerapi.Options{Version: version})}
	socket := filepath.Join(d.dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d.proxy}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	})
	d.env = map[string]string{"DOCKER_HOST": "unix://" + socket, "HOME": d.dir, "PATH": filepath.Join(d.dir, "bin")}
	for _, dir := range []string{"root", "run", "bin"} {
		if err := os.Mkdir(filepath.Join(d.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.env["STACK_ROOT"], d.env["STACK_RUN"] = filepath.Join(d.dir, "root"), filepath.Join(d.dir, "run")
	program := "#!/bin/sh\necho ran >> " + filepath.Join(d.dir, "ran") + "\n"
	if err := os.WriteFile(filepath.Join(d.dir, "bin", "cloud"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *dryRun) write(t *testing.T, compose string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, "compose.yaml"), []byte(compose), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the command line as the process would, and returns its exit code. What it prints is in d.out.
func (d *dryRun) run(t *testing.T, args ...string) int {
	t.Helper()
	d.out.Reset()
	var mu sync.Mutex
	both := writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return d.out.Write(b)
	})
	a := &app{in: strings.NewReader(""), out: both, err: both, now: time.Now, workDir: d.dir, getenv: func(name string) string { return d.env[name] }}
	for name, value := range d.env {
		a.environ = append(a.environ, name+"="+value)
	}
	for i, arg := range args { // what is named relative to the directory of the process
		if arg == "kept.plan" || arg == "compose.yaml" {
			args[i] = filepath.Join(d.dir, arg)
		}
	}
	return run(t.Context(), append([]string{"-f", filepath.Join(d.dir, "compose.yaml")}, args...), a)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func (d *dryRun) must(t *testing.T, args ...string) {
	t.Helper()
	if code := d.run(t, args...); code != 0 {
		t.Fatalf("%v: %d\n%s", args, code, d.out.String())
	}
}

// files are all below the directory, with what is in them and when they were last changed.
func (d *dryRun) files(t *testing.T) string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(d.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(strings.TrimPrefix(path, d.dir), " ", info.Mode(), " ", info.ModTime().UnixNano())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", content[:min(len(content), 200)])
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// proxy passes requests on. When it is shut, it remembers and refuses those that could change something: all but GET and HEAD,
// and those that ask for the connection.
type proxy struct {
	to http.Handler

	mu     sync.Mutex
	closed bool
	wrong  []string
}

func (p *proxy) shut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

// refused are the requests since the last time.
func (p *proxy) refused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.wrong
	p.wrong = nil
	return out
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead || strings.HasSuffix(r.URL.Path, "/wait") // which only waits
	if p.lets(r, reads && r.Header.Get("Upgrade") == "") {
		p.to.ServeHTTP(w, r)
		return
	}
	http.Error(w, `{"message": "this is a dry run"}`, http.StatusTeapot)
}

func (p *proxy) lets(r *http.Request, harmless bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed || harmless {
		return true
	}
	p.wrong = append(p.wrong, r.Method+" "+r.URL.Path)
	return false
}
