// Package docker is an engine behind a socket that speaks the Docker Engine API: Docker, Podman, or the embedded engine
// in its own process.
//
// It adds to Docker's client what the contract promises and the wire does not say by itself: error kinds where Docker
// answers with a bare 500, log lines instead of a multiplexed byte stream, attached streams that are copied until they
// end, errors out of progress streams, and results in order.
package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"

	"stackrun.dev/stack/engine"
)

// idleConnections is how many connections are kept for the next request. Containers are started in parallel; with the
// two of net/http's default each of them would dial.
const idleConnections = 64

// Engine is an engine.Engine behind a socket. Close gives its connections back.
type Engine struct {
	api  *client.Client
	host string

	// sameClock says that the engine runs on this machine, so that its events and our clock agree.
	sameClock bool

	// terminals remembers which execs made here have a terminal: the API wants to be told again on start.
	terminals sync.Map // exec ID -> bool

	syncing   atomic.Pointer[bool] // whether the engine syncs by itself; nil before it was asked
	receivers sync.Map             // container ID -> *receiver, on an engine that does not
}

var _ engine.Engine = (*Engine)(nil)

// An Option changes how New connects.
type Option func(*settings)

type settings struct{ opts []client.Opt }

// WithAPIVersion fixes the API's version, for example "1.51", and saves the request that negotiates it.
func WithAPIVersion(version string) Option {
	return func(s *settings) { s.opts = append(s.opts, client.WithVersion(version)) }
}

// WithUserAgent names the program in the requests.
func WithUserAgent(agent string) Option {
	return func(s *settings) { s.opts = append(s.opts, client.WithUserAgent(agent)) }
}

// WithDialer makes the connections by a function of the caller's, which knows where the engine is. What it returns instead of a
// connection is an error of kind ErrUnavailable.
func WithDialer(dial func(context.Context) (net.Conn, error)) Option {
	return func(s *settings) {
		s.opts = append(s.opts, client.WithDialContext(func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := dial(ctx)
			if err != nil && !errors.As(err, new(*net.OpError)) {
				err = &net.OpError{Op: "dial", Net: network, Err: err}
			}
			return conn, err
		}))
	}
}

// WithTLS authenticates both sides of a tcp:// connection with the PEM files of the authority, of our certificate and
// of its key.
func WithTLS(ca, cert, key string) Option {
	return func(s *settings) { s.opts = append(s.opts, client.WithTLSClientConfig(ca, cert, key)) }
}

// New makes the engine at host, for example "unix:///run/stack/engine.sock" or "tcp://10.0.0.5:2376". It does not
// connect; the first call does, and agrees with the engine on the API's version once. ErrInvalid: host is none.
func New(host string, opts ...Option) (*Engine, error) {
	var s settings
	for _, opt := range opts {
		opt(&s)
	}
	transport := &http.Transport{
		MaxIdleConns:        idleConnections,
		MaxIdleConnsPerHost: idleConnections,
		IdleConnTimeout:     30 * time.Second,
	}
	all := append([]client.Opt{
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithHost(host),
		client.WithAPIVersionNegotiation(),
	}, s.opts...)
	api, err := client.NewClientWithOpts(all...)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot use %q as an engine's address: %w", host, err)
	}
	return &Engine{api: api, host: host, sameClock: strings.HasPrefix(host, "unix://")}, nil
}

// Host is the address that New was given.
func (e *Engine) Host() string { return e.host }

// Close closes the idle connections.
func (e *Engine) Close() error {
	if err := e.api.Close(); err != nil {
		return fmt.Errorf("cannot close the connections to %s: %w", e.host, err)
	}
	return nil
}

// sorted puts a result in the order of its names.
func sorted[T any](list []T, name func(T) string) []T {
	slices.SortStableFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	return list
}
