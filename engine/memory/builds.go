package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/pkg/jsonmessage"
	"github.com/docker/go-connections/nat"

	"stackrun.dev/stack/engine"
)

// instruction is a line of a Dockerfile.
type instruction struct {
	line      int
	name, arg string
}

// BuildKit implements engine.Builds: there is none.
func (e *Engine) BuildKit(ctx context.Context) (net.Conn, error) {
	if err := e.enter(ctx, "BuildKit", ""); err != nil {
		return nil, err
	}
	return nil, engine.Errorf(engine.ErrUnsupported, "cannot open BuildKit: the engine in memory has none")
}

// ImageBuild implements engine.Images for Dockerfiles of one stage.
func (e *Engine) ImageBuild(ctx context.Context, buildContext io.Reader, opts build.ImageBuildOptions, progress engine.Progress) (string, error) {
	if err := e.enter(ctx, "ImageBuild", strings.Join(opts.Tags, ",")); err != nil {
		return "", err
	}
	files := map[string]node{}
	err := eachEntry(buildContext, func(h *tar.Header, content []byte) error {
		if n, ok := fromHeader(h, content); ok {
			files[strings.TrimPrefix(path.Clean("/"+h.Name), "/")] = n
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	name := first(opts.Dockerfile, "Dockerfile")
	file, ok := files[path.Clean(name)]
	if !ok {
		return "", engine.Errorf(engine.ErrInvalid, "cannot build: the context has no %s", name)
	}
	b := &building{engine: e, context: files, dockerfile: name, progress: progress, args: opts.BuildArgs}
	for _, in := range instructions(string(file.data)) {
		if err := b.step(ctx, in); err != nil {
			return "", err
		}
	}
	return b.finish(opts)
}

// instructions splits a Dockerfile.
func instructions(text string) []instruction {
	var all []instruction
	joined, began := "", 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if joined == "" {
			began = i + 1
		}
		if more, ok := strings.CutSuffix(line, "\\"); ok {
			joined += more
			continue
		}
		name, arg, _ := strings.Cut(joined+line, " ")
		all = append(all, instruction{began, strings.ToUpper(name), strings.TrimSpace(arg)})
		joined = ""
	}
	return all
}

// building is an image that is being built.
type building struct {
	engine     *Engine
	context    map[string]node
	dockerfile string
	progress   engine.Progress
	args       map[string]*string

	image *img
	files *vfs
}

func (b *building) fail(in instruction, format string, args ...any) error {
	return engine.Errorf(engine.ErrInvalid, fmt.Sprintf("cannot build: %s:%d: %s %s: ", b.dockerfile, in.line, in.name, strings.ReplaceAll(in.arg, "%", "%%"))+format, args...)
}

func (b *building) step(ctx context.Context, in instruction) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.progress.Report(jsonmessage.JSONMessage{Stream: "Step : " + in.name + " " + in.arg + "\n"})
	switch {
	case in.name == "ARG":
		return b.arg(in)
	case in.name == "FROM":
		return b.from(in)
	case b.image == nil:
		return b.fail(in, "no FROM before it")
	}
	b.image.config.History = append(b.image.config.History, imageHistory{Created: now(), CreatedBy: in.name + " " + in.arg})
	switch in.name {
	case "RUN":
		return b.run(ctx, in)
	case "COPY", "ADD":
		return b.copy(in)
	case "WORKDIR":
		b.image.config.Config.WorkingDir = path.Join("/", b.image.config.Config.WorkingDir, in.arg)
		return b.files.mkdirAll(b.image.config.Config.WorkingDir)
	}
	if err := configure(b.image.config.Config, in.name+" "+in.arg); err != nil {
		return b.fail(in, "%w", err)
	}
	return nil
}

// arg sets the default of a build argument.
func (b *building) arg(in instruction) error {
	name, value, ok := strings.Cut(in.arg, "=")
	if b.args[name] == nil && ok {
		if b.args == nil {
			b.args = map[string]*string{}
		}
		b.args[name] = &value
	}
	return nil
}

func (b *building) from(in instruction) error {
	if b.image != nil || strings.Contains(strings.ToLower(in.arg), " as ") {
		return engine.Errorf(engine.ErrUnsupported, "cannot build: %s:%d: the engine in memory builds one stage only", b.dockerfile, in.line)
	}
	b.image = newImage(newTree(), container.Config{}, "FROM "+in.arg)
	if in.arg != "scratch" {
		b.engine.mu.Lock()
		base, err := b.engine.image(b.value(in.arg))
		b.engine.mu.Unlock()
		if err != nil {
			return b.fail(in, "%w", err)
		}
		b.image.files, b.image.config.Config = base.files.clone(), copied(base.config.Config)
	}
	b.files = &vfs{mounts: []mountPoint{{at: "/", tree: b.image.files}}}
	return nil
}

// value expands build arguments.
func (b *building) value(text string) string {
	words, err := parse(`"` + text + `"`)
	if err != nil || len(words) == 0 || len(words[0].words) == 0 {
		return text
	}
	out, _ := words[0].words[0].expand(func(name string) string {
		if v := b.args[name]; v != nil {
			return *v
		}
		return environ(b.image.config.Config.Env)[name]
	})
	return out
}

func (b *building) run(ctx context.Context, in instruction) error {
	args := []string{"sh", "-c", in.arg}
	if list, ok := jsonList(in.arg); ok {
		args = list
	}
	var output bytes.Buffer
	control := newControl()
	env := environ([]string{"PATH=/bin:/usr/bin"}, b.image.config.Config.Env)
	for name, v := range b.args {
		if v != nil {
			env[name] = *v
		}
	}
	p := &Process{
		Args: args, Env: env, Dir: first(b.image.config.Config.WorkingDir, "/"), Stdin: strings.NewReader(""), Stdout: &output, Stderr: &output,
		Signals: control.signals, Killed: control.killed, control: control, files: b.files, box: &sandbox{owner: &ctr{}}, engine: b.engine, jobs: &(&run{}).jobs,
	}
	defer context.AfterFunc(ctx, func() { control.send(syscall.SIGKILL) })()
	code := p.call(args)
	if err := ctx.Err(); err != nil {
		return err
	}
	if output.Len() > 0 {
		b.progress.Report(jsonmessage.JSONMessage{Stream: output.String()})
	}
	if code != 0 {
		return b.fail(in, "exit code %d: %s", code, strings.TrimSpace(output.String()))
	}
	return nil
}

// copy copies files of the context: COPY SOURCE... TARGET.
func (b *building) copy(in instruction) error {
	fields := strings.Fields(in.arg)
	if list, ok := jsonList(in.arg); ok {
		fields = list
	}
	if len(fields) < 2 || strings.HasPrefix(fields[0], "--") {
		return b.fail(in, "the engine in memory copies from the context, without options, only")
	}
	target := fields[len(fields)-1]
	into := strings.HasSuffix(target, "/") || target == "." || len(fields) > 2
	target = path.Join("/", b.image.config.Config.WorkingDir, target)
	if path.IsAbs(fields[len(fields)-1]) {
		target = path.Clean(fields[len(fields)-1])
	}
	for _, source := range fields[:len(fields)-1] {
		if err := b.copyOne(in, strings.TrimPrefix(path.Clean("/"+source), "/"), target, into); err != nil {
			return err
		}
	}
	return nil
}

func (b *building) copyOne(in instruction, source, target string, into bool) error {
	n, isThere := b.context[source]
	if isThere && n.mode.IsRegular() {
		if into {
			target = path.Join(target, path.Base(source))
		}
		if err := b.files.mkdirAll(path.Dir(target)); err != nil {
			return b.fail(in, "%w", err)
		}
		return b.files.put(target, n)
	}
	found := isThere
	for name, n := range b.context {
		rest, ok := strings.CutPrefix(name, source+"/")
		if source == "" {
			rest, ok = name, true
		}
		if !ok {
			continue
		}
		found = true
		to := path.Join(target, rest)
		if err := b.files.mkdirAll(path.Dir(to)); err != nil {
			return b.fail(in, "%w", err)
		}
		if n.mode.IsDir() {
			if err := b.files.mkdirAll(to); err != nil {
				return b.fail(in, "%w", err)
			}
		} else if err := b.files.put(to, n); err != nil {
			return b.fail(in, "%w", err)
		}
	}
	if !found {
		return b.fail(in, "the context has no %s", source)
	}
	return nil
}

func (b *building) finish(opts build.ImageBuildOptions) (string, error) {
	if b.image == nil {
		return "", engine.Errorf(engine.ErrInvalid, "cannot build: %s has no FROM", b.dockerfile)
	}
	for name, value := range opts.Labels {
		setLabel(b.image.config.Config, name, value)
	}
	tags := opts.Tags
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		if err := b.engine.add(b.image, tag, events.ActionCreate); err != nil {
			return "", err
		}
	}
	return b.image.id, nil
}

func jsonList(text string) ([]string, bool) {
	var list []string
	return list, strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &list) == nil
}

func setLabel(c *container.Config, name, value string) {
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.Labels[name] = value
}

// configure applies an instruction that changes the configuration only.
func configure(c *container.Config, change string) error {
	name, arg, _ := strings.Cut(strings.TrimSpace(change), " ")
	arg = strings.TrimSpace(arg)
	command := func() []string {
		if list, ok := jsonList(arg); ok {
			return list
		}
		return []string{"/bin/sh", "-c", arg}
	}
	switch strings.ToUpper(name) {
	case "CMD":
		c.Cmd = command()
	case "ENTRYPOINT":
		c.Entrypoint, c.Cmd = command(), nil
	case "ENV", "LABEL":
		return eachPair(arg, func(key, value string) {
			if strings.EqualFold(name, "LABEL") {
				setLabel(c, key, value)
			} else {
				c.Env = append(c.Env, key+"="+value)
			}
		})
	case "USER":
		c.User = arg
	case "WORKDIR":
		c.WorkingDir = arg
	case "STOPSIGNAL":
		c.StopSignal = arg
	case "EXPOSE":
		if c.ExposedPorts == nil {
			c.ExposedPorts = nat.PortSet{}
		}
		for _, text := range strings.Fields(arg) {
			proto, port := nat.SplitProtoPort(text)
			c.ExposedPorts[nat.Port(port+"/"+proto)] = struct{}{}
		}
	case "VOLUME":
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		list, ok := jsonList(arg)
		if !ok {
			list = strings.Fields(arg)
		}
		for _, at := range list {
			c.Volumes[at] = struct{}{}
		}
	case "HEALTHCHECK":
		return healthcheck(c, arg)
	default:
		return engine.Errorf(engine.ErrInvalid, "unknown instruction: %s", name)
	}
	return nil
}

// eachPair reads KEY=VALUE pairs with shell quotes, or one "KEY VALUE".
func eachPair(text string, use func(key, value string)) error {
	if key, value, ok := strings.Cut(text, " "); ok && !strings.Contains(key, "=") {
		use(key, strings.TrimSpace(value))
		return nil
	}
	statements, err := parse(text)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot read %q: %w", text, err)
	}
	for _, st := range statements {
		for _, w := range st.words {
			pair, _ := w.expand(func(name string) string { return "$" + name })
			key, value, _ := strings.Cut(pair, "=")
			use(key, value)
		}
	}
	return nil
}

// healthcheck reads [--interval=D] [--timeout=D] … CMD command, or NONE.
func healthcheck(c *container.Config, arg string) error {
	h := &container.HealthConfig{}
	for strings.HasPrefix(arg, "--") {
		option, rest, _ := strings.Cut(arg, " ")
		arg = strings.TrimSpace(rest)
		name, value, _ := strings.Cut(option[2:], "=")
		if name == "retries" {
			if _, err := fmt.Sscan(value, &h.Retries); err != nil {
				return engine.Errorf(engine.ErrInvalid, "cannot read %s: %w", option, err)
			}
			continue
		}
		to, ok := map[string]*time.Duration{"interval": &h.Interval, "timeout": &h.Timeout, "start-period": &h.StartPeriod, "start-interval": &h.StartInterval}[name]
		if !ok {
			return engine.Errorf(engine.ErrInvalid, "unknown option %s", option)
		}
		d, err := time.ParseDuration(value)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot read %s: %w", option, err)
		}
		*to = d
	}
	kind, command, _ := strings.Cut(arg, " ")
	list, ok := jsonList(strings.TrimSpace(command))
	switch {
	case kind == "NONE":
		h.Test = []string{"NONE"}
	case ok:
		h.Test = append([]string{"CMD"}, list...)
	default:
		h.Test = []string{"CMD-SHELL", command}
	}
	c.Healthcheck = h
	return nil
}
