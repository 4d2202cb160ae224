package imagebuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/tonistiigi/fsutil"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute/buildcontext"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/internal/buildkit"
)

// solve is one build by BuildKit.
type solve struct {
	build   *desired.Build
	options Options
	opt     client.SolveOpt
	remove  []string // folders that were made for it
}

// run takes the connection over.
func (s *solve) run(ctx context.Context, conn net.Conn) (id string, err error) {
	defer func() {
		for _, dir := range s.remove {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := s.prepare(); err != nil {
		return "", errors.Join(err, conn.Close())
	}
	var once sync.Once
	dial := func(context.Context, string) (net.Conn, error) {
		err := errors.New("the connection to the engine's BuildKit has ended")
		once.Do(func() { err = nil })
		return conn, err
	}
	c, err := client.New(ctx, "", client.WithContextDialer(dial))
	if err != nil {
		return "", errors.Join(err, conn.Close())
	}
	defer c.Close()    //nolint:errcheck // everything was acknowledged
	defer conn.Close() //nolint:errcheck // the client dials when it has something to say, which may be never

	printer := buildkit.NewPrinter(s.options.Progress, s.options.Progress == nil)
	status := make(chan *client.SolveStatus)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		for m := range status {
			printer.Update(m)
		}
		printer.Close()
	}()
	res, err := c.Solve(ctx, nil, s.opt, status)
	<-printed
	if err != nil {
		return "", printer.Explain(ctx, err, s.opt.FrontendAttrs["filename"])
	}
	if id := res.ExporterResponse[exptypes.ExporterImageConfigDigestKey]; id != "" {
		return id, nil
	}
	return res.ExporterResponse[exptypes.ExporterImageDigestKey], nil // of Docker before 23; it is the image's ID too
}

// prepare says in BuildKit's words what is to be built.
func (s *solve) prepare() error {
	attrs, err := buildkit.Attrs(s.build.Options)
	if err != nil {
		return err
	}
	s.opt = client.SolveOpt{
		Exports:       []client.ExportEntry{{Type: "moby", Attrs: map[string]string{"name": strings.Join(s.build.Options.Tags, ",")}}},
		Frontend:      "dockerfile.v0",
		FrontendAttrs: attrs,
		LocalMounts:   make(map[string]fsutil.FS),
		SharedKey:     sharedKey(s.build),
		Internal:      true, // no record in the history of builds, which nobody of ours reads
	}
	for name, value := range s.build.Options.BuildArgs {
		if value == nil { // it is this process's, if it has one
			if v, ok := os.LookupEnv(name); ok {
				attrs["build-arg:"+name] = v
			}
		}
	}
	for _, step := range []func() error{s.sources, s.contexts, s.caches, s.session} {
		if err := step(); err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot build %s: %w", s.build.Service, err)
		}
	}
	s.allow()
	return nil
}

// sharedKey lets BuildKit find the files that the last build from the same folder has sent.
func sharedKey(b *desired.Build) string {
	sum := sha256.Sum256([]byte(b.Context + "\x00" + b.Dockerfile))
	return hex.EncodeToString(sum[:])
}

// sources are the context and the Dockerfile.
func (s *solve) sources() error {
	b, attrs := s.build, s.opt.FrontendAttrs
	remote := buildcontext.Remote(b)
	if remote {
		attrs["context"] = b.Context
	} else if err := s.mount("context", b.Context); err != nil {
		return err
	}
	switch rel, inside := buildcontext.InContext(b); {
	case b.Inline != "":
		dir, err := os.MkdirTemp("", "stack-dockerfile-")
		if err != nil {
			return err
		}
		s.remove = append(s.remove, dir)
		attrs["filename"] = "Dockerfile"
		if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(b.Inline), 0o600); err != nil {
			return err
		}
		return s.mountDockerfile(remote, dir)
	case inside && remote:
		attrs["filename"] = rel
	case inside:
		attrs["filename"] = rel
		return s.mount("dockerfile", b.Context)
	default:
		attrs["filename"] = filepath.Base(b.Dockerfile)
		return s.mountDockerfile(remote, filepath.Dir(b.Dockerfile))
	}
	return nil
}

// mountDockerfile says that the Dockerfile is in a folder of its own; of a remote context it would be looked for there.
func (s *solve) mountDockerfile(remote bool, dir string) error {
	if remote {
		s.opt.FrontendAttrs["dockerfilekey"] = "dockerfile"
	}
	return s.mount("dockerfile", dir)
}

func (s *solve) mount(name, dir string) error {
	fs, err := fsutil.NewFS(dir)
	if err != nil {
		return err
	}
	s.opt.LocalMounts[name] = fs
	return nil
}

// contexts are the further ones.
func (s *solve) contexts() error {
	for name, value := range s.build.Kit.Contexts {
		if !filepath.IsAbs(value) {
			s.opt.FrontendAttrs["context:"+name] = value
			continue
		}
		if err := s.mount(name, value); err != nil {
			return fmt.Errorf("the context %s: %w", name, err)
		}
		s.opt.FrontendAttrs["context:"+name] = "local:" + name
	}
	return nil
}

func (s *solve) caches() error {
	for _, list := range []struct {
		from []string
		to   *[]client.CacheOptionsEntry
	}{{append(s.build.Options.CacheFrom, s.build.Kit.CacheFrom...), &s.opt.CacheImports}, {s.build.Kit.CacheTo, &s.opt.CacheExports}} {
		for _, text := range list.from {
			entry, err := parseCache(text)
			if err != nil {
				return err
			}
			*list.to = append(*list.to, entry)
		}
	}
	if stages := s.build.Kit.NoCacheFilter; len(stages) > 0 && !s.build.Options.NoCache {
		s.opt.FrontendAttrs["no-cache"] = strings.Join(stages, ",")
	}
	return nil
}

// session is what BuildKit may ask for while it builds.
func (s *solve) session() error {
	parts := []session.Attachable{buildkit.Credentials(s.auth)}
	if len(s.build.Kit.Secrets) > 0 {
		store := make(map[string][]byte)
		for _, secret := range s.build.Kit.Secrets {
			store[secret.ID] = secret.Content
		}
		parts = append(parts, secretsprovider.FromMap(store))
	}
	if len(s.build.Kit.SSH) > 0 {
		var agents []sshprovider.AgentConfig
		for _, a := range s.build.Kit.SSH {
			agents = append(agents, sshprovider.AgentConfig{ID: a.ID, Paths: a.Paths})
		}
		agent, err := sshprovider.NewSSHAgentProvider(agents)
		if err != nil {
			return fmt.Errorf("ssh: %w", err)
		}
		parts = append(parts, agent)
	}
	s.opt.Session = parts
	return nil
}

func (s *solve) auth(host string) registry.AuthConfig {
	if s.options.Auth == nil {
		return registry.AuthConfig{}
	}
	cfg, err := registry.DecodeAuthConfig(s.options.Auth(host + "/x"))
	if err != nil || cfg == nil {
		return registry.AuthConfig{}
	}
	return *cfg
}

func (s *solve) allow() {
	s.opt.AllowedEntitlements = append(s.opt.AllowedEntitlements, s.build.Kit.Entitlements...)
	if s.build.Options.NetworkMode == "host" {
		s.opt.AllowedEntitlements = append(s.opt.AllowedEntitlements, "network.host")
	}
}
