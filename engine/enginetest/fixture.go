package enginetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// caseTimeout ends a case that hangs. It is no measure: the machine may be busy.
const caseTimeout = 90 * time.Second

// fixture is what one case works with. What it makes is removed when the case ends.
type fixture struct {
	testing.TB
	suite
	engine.Engine
	ctx    context.Context
	prefix string // begins the names of this case's objects
	count  int
}

func (s suite) begin(t testing.TB) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	random := make([]byte, 4)
	_, _ = rand.Read(random)
	return &fixture{TB: t, suite: s, Engine: s.Subject.Engine, ctx: ctx, prefix: "et" + hex.EncodeToString(random)}
}

// name makes a name that no other case uses.
func (f *fixture) name(what string) string {
	f.count++
	return fmt.Sprintf("%s-%s%d", f.prefix, what, f.count)
}

// must ends the case on an error.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// wantKind checks that err is of the kind.
func (f *fixture) wantKind(what string, err, kind error) {
	f.Helper()
	if !errors.Is(err, kind) {
		f.Errorf("%s: got error %v, want one of kind %q", what, err, kind)
	}
}

// option changes a container before it is created.
type option func(*engine.CreateConfig)

func sh(script string) option { return command("sh", "-c", script) }

func command(args ...string) option {
	return func(c *engine.CreateConfig) { c.Config.Cmd = args }
}

func on(net string, settings *network.EndpointSettings) option {
	return func(c *engine.CreateConfig) {
		if c.Networking == nil {
			c.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{}}
			c.Host.NetworkMode = container.NetworkMode(net)
		}
		c.Networking.EndpointsConfig[net] = settings
	}
}

func host(change func(*container.HostConfig)) option {
	return func(c *engine.CreateConfig) { change(c.Host) }
}

func config(change func(*container.Config)) option {
	return func(c *engine.CreateConfig) { change(c.Config) }
}

// create creates a container and removes it when the case ends.
func (f *fixture) create(opts ...option) string {
	f.Helper()
	id, err := f.tryCreate(f.name("c"), opts...)
	f.must(err)
	return id
}

func (f *fixture) tryCreate(name string, opts ...option) (string, error) {
	made, err := f.ContainerCreate(f.ctx, name, f.config(opts...))
	if err != nil {
		return "", err
	}
	f.Cleanup(func() { f.remove(made.ID) })
	return made.ID, nil
}

func (f *fixture) config(opts ...option) engine.CreateConfig {
	cfg := engine.CreateConfig{
		Config: &container.Config{Image: f.Image, Cmd: []string{"sleep", "1000"}, Labels: map[string]string{"enginetest": f.prefix}},
		Host:   &container.HostConfig{},
	}
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// run creates and starts a container.
func (f *fixture) run(opts ...option) string {
	f.Helper()
	id := f.create(opts...)
	f.must(f.ContainerStart(f.ctx, id))
	return id
}

// runToEnd runs a container until it has exited and returns its exit code and what it printed.
func (f *fixture) runToEnd(opts ...option) (int64, string) {
	f.Helper()
	id := f.run(opts...)
	code := f.wait(id, container.WaitConditionNotRunning)
	return code, f.output(id)
}

func (f *fixture) remove(id string) {
	ctx, cancel := context.WithTimeout(context.Background(), caseTimeout)
	defer cancel()
	err := f.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		f.Errorf("cannot remove container %s: %v", id, err)
	}
}

// wait waits and returns the exit code.
func (f *fixture) wait(id string, cond container.WaitCondition) int64 {
	f.Helper()
	results, errs := f.ContainerWait(f.ctx, id, cond)
	return f.waited(results, errs)
}

func (f *fixture) waited(results <-chan container.WaitResponse, errs <-chan error) int64 {
	f.Helper()
	select {
	case r := <-results:
		return r.StatusCode
	case err := <-errs:
		f.Fatalf("waiting: %v", err)
	}
	return -1
}

var bothStreams = container.LogsOptions{ShowStdout: true, ShowStderr: true}

// entries reads a log.
func (f *fixture) entries(id string, opts container.LogsOptions) []engine.LogEntry {
	f.Helper()
	var all []engine.LogEntry
	for entry, err := range f.ContainerLogs(f.ctx, id, opts) {
		f.must(err)
		all = append(all, entry)
	}
	return all
}

// output is what the container wrote, both streams together.
func (f *fixture) output(id string) string {
	f.Helper()
	return text(f.entries(id, bothStreams))
}

func text(entries []engine.LogEntry) string {
	var all bytes.Buffer
	for _, entry := range entries {
		all.Write(entry.Line)
	}
	return all.String()
}

// awaitOutput follows the log until a line contains the text.
func (f *fixture) awaitOutput(id, want string) {
	f.Helper()
	follow := bothStreams
	follow.Follow = true
	for entry, err := range f.ContainerLogs(f.ctx, id, follow) {
		f.must(err)
		if strings.Contains(string(entry.Line), want) {
			return
		}
	}
	f.Fatalf("container %s ended without printing %q: %s", id, want, f.output(id))
}

// result is what an exec did.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d, stdout %q, stderr %q", r.code, r.stdout, r.stderr)
}

// exec runs a shell script in the container to its end.
func (f *fixture) exec(id, script string) result {
	f.Helper()
	r, err := f.tryExec(id, container.ExecOptions{Cmd: []string{"sh", "-c", script}}, "")
	f.must(err)
	return r
}

func (f *fixture) tryExec(id string, opts container.ExecOptions, stdin string) (result, error) {
	f.Helper()
	opts.AttachStdout, opts.AttachStderr = true, true
	execID, err := f.ExecCreate(f.ctx, id, opts)
	if err != nil {
		return result{}, err
	}
	var stdout, stderr bytes.Buffer
	streams := engine.AttachOptions{Stdout: &stdout, Stderr: &stderr}
	if opts.AttachStdin {
		streams.Stdin = strings.NewReader(stdin)
	}
	startErr := f.ExecStart(f.ctx, execID, false, streams)
	exec, err := f.ExecInspect(f.ctx, execID)
	f.must(err)
	return result{exec.ExitCode, stdout.String(), stderr.String()}, startErr
}

// inspect inspects a container.
func (f *fixture) inspect(id string) container.InspectResponse {
	f.Helper()
	c, err := f.ContainerInspect(f.ctx, id)
	f.must(err)
	return c
}

// Engines that share a host with others must not choose the same subnets: the second number is drawn by each process.
var (
	subnets     atomic.Int32
	subnetRange = 200 + mathrand.IntN(30)
)

// subnet returns a subnet that no other case uses: the first three numbers of its addresses.
func (f *fixture) subnet() string { return fmt.Sprintf("10.%d.%d", subnetRange, subnets.Add(1)) }

// network makes a network of its own subnet and returns its name and the first three numbers of its addresses.
func (f *fixture) network() (string, string) {
	f.Helper()
	name, subnet := f.name("n"), f.subnet()
	_, err := f.tryNetwork(name, network.CreateOptions{IPAM: ipam(subnet)})
	f.must(err)
	return name, subnet
}

func ipam(subnet string) *network.IPAM {
	return &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet + ".0/24"}}}
}

func (f *fixture) tryNetwork(name string, opts network.CreateOptions) (string, error) {
	id, err := f.NetworkCreate(f.ctx, name, opts)
	if err != nil {
		return "", err
	}
	f.Cleanup(func() {
		err := f.NetworkRemove(context.Background(), id)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			f.Errorf("cannot remove network %s: %v", name, err)
		}
	})
	return id, nil
}

// volume makes a volume.
func (f *fixture) volume() string {
	f.Helper()
	name := f.name("v")
	_, err := f.VolumeCreate(f.ctx, volume.CreateOptions{Name: name, Labels: map[string]string{"enginetest": f.prefix}})
	f.must(err)
	f.Cleanup(func() {
		err := f.VolumeRemove(context.Background(), name, false)
		if err != nil && !errors.Is(err, engine.ErrNotFound) {
			f.Errorf("cannot remove volume %s: %v", name, err)
		}
	})
	return name
}
