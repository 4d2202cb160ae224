package image

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/registry"

	"stackrun.dev/stack/engine"
)

// transfers is how many layers are downloaded or uploaded at once, as in Docker.
const transfers = 3

// hub is the connection with the registry of one image for one operation.
type hub struct {
	name     reference.Named
	host     string // for messages
	loggedIn bool
	resolver remotes.Resolver
	secure   *http.Transport
	lenient  *http.Transport // for registries on this host, which need no valid certificate
}

// dial prepares talking to the registry of the image. Nothing is sent yet. close must be called.
func dial(name reference.Named, encodedAuth string) (*hub, error) {
	auth, err := registry.DecodeAuthConfig(encodedAuth)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot read the credentials for %s: %w", reference.Domain(name), err)
	}
	h := &hub{
		name:     name,
		host:     reference.Domain(name),
		loggedIn: auth.Username != "" || auth.IdentityToken != "",
		secure:   newTransport(),
		lenient:  newTransport(),
	}
	h.lenient.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // this host only, as Docker does
	authorizer := docker.NewDockerAuthorizer(docker.WithAuthClient(&http.Client{Transport: h.secure}),
		docker.WithAuthCreds(func(string) (string, string, error) {
			if auth.IdentityToken != "" {
				return "", auth.IdentityToken, nil
			}
			return auth.Username, auth.Password, nil
		}))
	h.resolver = docker.NewResolver(docker.ResolverOptions{Hosts: func(host string) ([]docker.RegistryHost, error) {
		return h.hosts(host, authorizer)
	}})
	return h, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ForceAttemptHTTP2:     true,
	}
}

func (h *hub) close() {
	h.secure.CloseIdleConnections()
	h.lenient.CloseIdleConnections()
}

// hosts says how to reach a registry: over HTTPS, on this host also with a certificate of its own or without TLS.
func (h *hub) hosts(host string, authorizer docker.Authorizer) ([]docker.RegistryHost, error) {
	config := docker.RegistryHost{
		Client:       &http.Client{Transport: h.secure},
		Authorizer:   authorizer,
		Host:         host,
		Scheme:       "https",
		Path:         "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush,
	}
	if host == "docker.io" {
		config.Host = "registry-1.docker.io"
	}
	local, err := docker.MatchLocalhost(host)
	if err != nil {
		return nil, err
	}
	if local {
		config.Client = &http.Client{Transport: docker.NewHTTPFallback(h.lenient)}
	}
	return []docker.RegistryHost{config}, nil
}

// explain turns what a registry answered, or that it did not, into an error of the right kind.
func (h *hub) explain(err error, doing string) error {
	var own *engine.Error
	var status remoteserrors.ErrUnexpectedStatus
	var network *net.OpError
	var dns *net.DNSError
	what := fmt.Sprintf("cannot %s %s: ", doing, reference.FamiliarString(h.name))
	switch {
	case errors.As(err, &own):
		return engine.Errorf(own.Kind, what+"%w", err)
	case errors.Is(err, docker.ErrInvalidAuthorization),
		errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden):
		if h.loggedIn {
			return engine.Errorf(engine.ErrForbidden, what+"registry %s refuses the credentials: %w", h.host, err)
		}
		return engine.Errorf(engine.ErrNotFound, what+"registry %s has no such image, or one must log in to it: %w", h.host, err)
	case errdefs.IsNotFound(err):
		return engine.Errorf(engine.ErrNotFound, what+"registry %s has no such image", h.host)
	case errors.As(err, &dns), errors.As(err, &network), errors.As(err, &status), errdefs.IsUnavailable(err):
		return engine.Errorf(engine.ErrUnavailable, what+"registry %s does not answer: %w", h.host, err)
	}
	return wrap(err, what[:len(what)-2])
}
