package build

import (
	"context"
	"net"

	"github.com/docker/docker/api/types/registry"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/filesync"

	"stackrun.dev/stack/internal/buildkit"
)

// openSession connects what a build may ask its client for, files and credentials, with BuildKit's session manager. Both
// ends are in this process. The returned function ends the session.
func openSession(ctx context.Context, manager *session.Manager, req request, files *contextFiles) (id string, end func(), err error) {
	s, err := session.NewSession(ctx, req.sharedKey)
	if err != nil {
		return "", nil, err
	}
	s.Allow(filesync.NewFSSyncProvider(filesync.StaticDirSource{"context": files, "dockerfile": files}))
	s.Allow(buildkit.Credentials(authOf(req.auth)))

	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// It returns when the connection is closed, which is how a session ends.
		_ = s.Run(ctx, func(ctx context.Context, _ string, meta map[string][]string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				_ = manager.HandleConn(ctx, server, meta)
				server.Close()
			}()
			return client, nil
		})
	}()
	return s.ID(), func() {
		cancel()
		<-ended
	}, nil
}

// dockerHub is the name under which clients keep the credentials of the default registry.
const dockerHub = "https://index.docker.io/v1/"

// authOf finds what a build request has for a registry.
func authOf(byHost map[string]registry.AuthConfig) func(host string) registry.AuthConfig {
	return func(host string) registry.AuthConfig {
		if host == "docker.io" {
			host = dockerHub
		}
		for _, key := range []string{host, "https://" + host, "http://" + host, "https://" + host + "/v1/"} {
			if cfg, ok := byHost[key]; ok {
				return cfg
			}
		}
		return registry.AuthConfig{}
	}
}
