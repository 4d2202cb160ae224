package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/docker/docker/api"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/readonly"
	"stackrun.dev/stack/project"
)

// session is one command's connection to its engine.
type session struct {
	*app
	engine.Engine
	target launch.Target
	socket *docker.Engine
	life   *life // nil: the engine is none of ours

	engineID func(context.Context) (string, error) // asked once
	given    desired.Given                         // what providers have said when the session brought the project up
	begun    bool                                  // a run of the session has had the project's lock
	clock    *waitClock                            // how long the session may take to bring the project up; nil: for ever
	logs     *view.Logs                            // what containers write while the session brings the project up; nil: nobody shows it
}

// connect finds the engine, starts it if it is ours and absent, and connects. With --dry-run nothing can be changed
// through the session.
func (a *app) connect(ctx context.Context) (*session, error) {
	target, err := launch.Locate(a.global.host, a.getenv)
	if err != nil {
		return nil, usageError{err}
	}
	s := &session{app: a, target: target}
	s.engineID = s.askOnce()
	if target.Embedded {
		lease, err := launch.Start(ctx, target, engineProgram)
		if err != nil {
			return nil, err
		}
		s.life = &life{target: target, lease: lease, now: a.now}
	}
	if s.socket, err = docker.New(target.Host, a.dockerOptions(s)...); err != nil {
		return nil, errors.Join(err, s.life.Close())
	}
	s.Engine = s.socket
	if a.global.dryRun {
		s.Engine = readonly.New(s.socket)
	}
	return s, nil
}

// dockerOptions are what Docker's own client takes from the environment.
func (a *app) dockerOptions(s *session) []docker.Option {
	opts := []docker.Option{docker.WithUserAgent("stack/" + version)}
	v := a.getenv("DOCKER_API_VERSION")
	if v == "" && s.life.APIVersion() == api.DefaultVersion {
		v = api.DefaultVersion // an engine of our own version: there is nothing to negotiate
	}
	if v != "" {
		opts = append(opts, docker.WithAPIVersion(v))
	}
	if dir := a.getenv("DOCKER_CERT_PATH"); dir != "" && strings.HasPrefix(s.target.Host, "tcp://") {
		opts = append(opts, docker.WithTLS(dir+"/ca.pem", dir+"/cert.pem", dir+"/key.pem"))
	}
	if s.life != nil {
		opts = append(opts, docker.WithDialer(s.life.dial))
	}
	return opts
}

// askOnce asks the engine who it is, the first time that somebody wants to know.
func (s *session) askOnce() func(context.Context) (string, error) {
	var mu sync.Mutex
	var known string
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != "" {
			return known, nil
		}
		id, err := launch.EngineID(ctx, s.Engine, s.target)
		known = id
		return id, err
	}
}

// projectKey names a project of the session's engine: for its lock and for what is kept about it.
func (s *session) projectKey(ctx context.Context, project string) (string, error) {
	id, err := s.engineID(ctx)
	if err != nil {
		return "", err
	}
	return launch.KeyOf(id, project), nil
}

// Close gives the connections back and lets the engine go.
func (s *session) Close() error {
	return errors.Join(s.socket.Close(), s.life.Close())
}

// with runs do with a session.
func (a *app) with(ctx context.Context, do func(*session) error) (err error) {
	s, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// projectOptions are the global flags in the loader's terms.
func (a *app) projectOptions() project.Options {
	g := a.global
	return project.Options{
		Files: g.files, ProjectName: g.projectName, ProjectDir: g.projectDir,
		WorkDir: a.workDir, EnvFiles: g.envFiles, Profiles: g.profiles, Env: environment(a.environ), Stdin: a.in, Remotes: a.remotes(), Strict: g.strict,
	}
}

// load loads the project and prints the loader's warnings.
func (a *app) load(ctx context.Context) (*project.Project, error) {
	return a.loadAs(ctx, a.projectOptions())
}

// loadAs is load with options of the caller's own.
func (a *app) loadAs(ctx context.Context, o project.Options) (*project.Project, error) {
	p, warnings, err := project.Load(ctx, o)
	if err == nil {
		a.loaded = p.Env
	}
	if warnErr := a.warn(warnings); warnErr != nil {
		return nil, warnErr
	}
	return p, err
}

// scope is what a command is about: a project, or only its name where there is no Compose file.
type scope struct {
	name    string
	project *project.Project // nil when only the name is known

	separator string // see desired.Input
}

// scope loads the project. If there is no Compose file a project name is enough: the engine knows what belongs to it.
func (a *app) scope(ctx context.Context) (scope, error) {
	p, err := a.load(ctx)
	if err == nil {
		return scope{name: p.Name, project: p, separator: a.separator()}, nil
	}
	name := a.global.projectName
	if name == "" {
		name = a.getenv("COMPOSE_PROJECT_NAME")
	}
	missing := errors.Is(err, project.ErrNoFile) || errors.Is(err, os.ErrNotExist) && len(a.global.files) == 0
	if missing && name != "" {
		return scope{name: name}, nil
	}
	return scope{}, err
}

// style decides about colours for what is written to w.
func (a *app) style(w any) (view.Style, error) {
	out, _ := w.(interface{ Write([]byte) (int, error) })
	s, err := view.NewStyle(a.global.ansi, out, a.getenv)
	if err != nil {
		return s, usageError{err}
	}
	return s, nil
}
