package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// OCIOptions says how registries are spoken to.
type OCIOptions struct {
	Cache    string   // where artifacts are kept, absolute; made when it is needed
	Insecure []string // registries that are spoken to without TLS, HOST[:PORT]; one on this host may always be

	// Credentials returns the user and password for a registry, or no user and a token, or nothing. The name is as in
	// references: "docker.io", "localhost:5000". nil: there are none.
	Credentials func(registry string) (user, secret string, err error)
}

// connection is the connection to the registry of one artifact.
type connection struct {
	name      reference.Named
	resolver  remotes.Resolver
	transport *http.Transport
}

func (o *OCIOptions) dial(name reference.Named) *connection {
	c := &connection{name: name, transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ForceAttemptHTTP2:     true,
	}}
	client := &http.Client{Transport: c.transport}
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(func(string) (string, string, error) {
		if o.Credentials == nil {
			return "", "", nil
		}
		return o.Credentials(reference.Domain(name))
	}))
	c.resolver = docker.NewResolver(docker.ResolverOptions{Hosts: func(host string) ([]docker.RegistryHost, error) {
		return o.hosts(host, c.transport, authorizer)
	}})
	return c
}

func (c *connection) close() { c.transport.CloseIdleConnections() }

// hosts says how to reach a registry: over HTTPS, on this host also with a certificate of its own or without TLS.
func (o *OCIOptions) hosts(host string, transport *http.Transport, authorizer docker.Authorizer) ([]docker.RegistryHost, error) {
	config := docker.RegistryHost{
		Client:       &http.Client{Transport: transport},
		Authorizer:   authorizer,
		Host:         host,
		Scheme:       "https",
		Path:         "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush,
	}
	if host == "docker.io" {
		config.Host = "registry-1.docker.io"
	}
	if slices.Contains(o.Insecure, host) {
		config.Scheme = "http"
		return []docker.RegistryHost{config}, nil
	}
	local, err := docker.MatchLocalhost(host)
	if err != nil {
		return nil, err
	}
	if local {
		lenient := transport.Clone()
		lenient.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // this host only, as Docker does
		config.Client = &http.Client{Transport: docker.NewHTTPFallback(lenient)}
	}
	return []docker.RegistryHost{config}, nil
}

// resolve asks the registry what the name stands for.
func (c *connection) resolve(ctx context.Context) (ocispec.Descriptor, error) {
	_, desc, err := c.resolver.Resolve(ctx, c.name.String())
	return desc, c.explain(err)
}

// read returns what the descriptor describes, checked against its size and digest. Nothing else of the descriptor counts: the
// addresses that it may have are not called.
func (c *connection) read(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%q: %w", desc.Digest, err)
	}
	if desc.Size < 0 || desc.Size > limit {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are fetched", desc.Digest, desc.Size, limit)
	}
	fetcher, err := c.resolver.Fetcher(ctx, c.name.String())
	if err != nil {
		return nil, c.explain(err)
	}
	body, err := fetcher.Fetch(ctx, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
	if err != nil {
		return nil, c.explain(err)
	}
	content, err := io.ReadAll(io.LimitReader(body, desc.Size+1))
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	if int64(len(content)) != desc.Size {
		return nil, fmt.Errorf("%s has not the %d bytes that were announced", desc.Digest, desc.Size)
	}
	if got := digest.Digest(desc.Digest.Algorithm().FromBytes(content)); got != desc.Digest {
		return nil, fmt.Errorf("what came as %s is %s", desc.Digest, got)
	}
	return content, nil
}

// explain says in few words what a registry answered, or that it did not.
func (c *connection) explain(err error) error {
	var status remoteserrors.ErrUnexpectedStatus
	host := reference.Domain(c.name)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, docker.ErrInvalidAuthorization),
		errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		return fmt.Errorf("registry %s has no such artifact, or one must log in to it (docker login %s)", host, host)
	case errdefs.IsNotFound(err):
		return fmt.Errorf("registry %s has no such artifact", host)
	}
	return fmt.Errorf("registry %s: %w", host, err)
}
