package buildkit

import (
	"context"

	"github.com/docker/docker/api/types/registry"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
)

// Credentials answers, as a part of a build's session, with what there is for a registry's host. The host is as the image
// names it; "docker.io" is the default registry's.
func Credentials(forHost func(host string) registry.AuthConfig) session.Attachable {
	return &credentials{forHost: forHost}
}

type credentials struct {
	auth.UnimplementedAuthServer
	forHost func(host string) registry.AuthConfig
}

func (c *credentials) Register(server *grpc.Server) { auth.RegisterAuthServer(server, c) }

func (c *credentials) Credentials(_ context.Context, req *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	host := req.Host
	if host == "registry-1.docker.io" {
		host = "docker.io"
	}
	cfg := c.forHost(host)
	if cfg.IdentityToken != "" {
		return &auth.CredentialsResponse{Secret: cfg.IdentityToken}, nil
	}
	return &auth.CredentialsResponse{Username: cfg.Username, Secret: cfg.Password}, nil
}
