// Package dockerapi serves the Docker Engine API over an engine, so that everything that speaks to Docker (its command
// line, Compose, Testcontainers, client libraries) can use the engine.
//
// The wire format of containers, execs, volumes and the system comes from Docker's own routers, over backends that
// adapt them to the contract. Networks, images, builds, events and logs are routed here: Docker's routers for them bring
// its whole network library, do not compile beside BuildKit, answer an event stream before they subscribe, or flush the
// connection for every line of a log.
package dockerapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/log"
	"github.com/docker/docker/api"
	"github.com/docker/docker/api/server/httpstatus"
	"github.com/docker/docker/api/server/httputils"
	"github.com/docker/docker/api/server/middleware"
	"github.com/docker/docker/api/server/router"
	containerrouter "github.com/docker/docker/api/server/router/container"
	systemrouter "github.com/docker/docker/api/server/router/system"
	volumerouter "github.com/docker/docker/api/server/router/volume"
	"github.com/docker/docker/api/types"
	"github.com/gorilla/mux"
	"github.com/sirupsen/logrus"

	"stackrun.dev/stack/engine"
)

// Versions of the API that are served. A client that names none speaks the newest.
const (
	OldestVersion = api.MinSupportedAPIVersion
	NewestVersion = api.DefaultVersion
)

// Options say how to serve.
type Options struct {
	// Version is the program's, for the header "Server".
	Version string

	// CgroupV2 says that the host has the unified hierarchy; old clients are given other defaults without it.
	CgroupV2 bool

	// Log receives what is the engine's fault: answers of status 500 and above. nil: nobody.
	Log *slog.Logger
}

// New returns the handler that serves the API over e.
func New(e engine.Engine, opts Options) http.Handler {
	versions, err := middleware.NewVersionMiddleware(opts.Version, NewestVersion, OldestVersion)
	if err != nil {
		panic(fmt.Sprintf("dockerapi: the versions of the API are constants: %v", err))
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{versions: versions, log: opts.Log, routers: map[string]*mux.Router{}}
	s.add(eventRoutes(e))
	s.add(networkRoutes(e))
	s.add(imageRoutes(e))
	s.add(buildRoutes(e))
	s.add(logRoutes(e))
	s.add(syncRoutes(e))
	s.add(containerrouter.NewRouter(&containerBackend{e}, decoder{}, opts.CgroupV2).Routes())
	s.add(volumerouter.NewRouter(volumeBackend{e}, noSwarm{}).Routes())
	s.add(systemrouter.NewRouter(systemBackend{e}, nil, buildCache{builds{e}}, features).Routes())
	return s
}

// features tells clients that builds take a tar of the context, not a BuildKit session.
func features() map[string]bool { return map[string]bool{"buildkit": false} }

type server struct {
	versions *middleware.VersionMiddleware
	log      *slog.Logger
	routers  map[string]*mux.Router // by method: a router tries one route after the other
}

func (s *server) add(routes []router.Route) {
	for _, r := range routes {
		if s.routers[r.Method()] == nil {
			s.routers[r.Method()] = mux.NewRouter()
		}
		s.routers[r.Method()].Path(r.Path()).Handler(endpoint{s, s.versions.WrapHandler(r.Handler())})
	}
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	routes := s.routers[r.Method]
	version, path := splitVersion(r.URL.Path)
	var match mux.RouteMatch
	if routes == nil || !routes.Match(&http.Request{Method: r.Method, URL: &url.URL{Path: path}}, &match) {
		_ = httputils.WriteJSON(w, http.StatusNotFound, &types.ErrorResponse{Message: "page not found"})
		return
	}
	if version != "" {
		match.Vars["version"] = version
	}
	match.Handler.(endpoint).serve(w, r, match.Vars)
}

// splitVersion splits "/v1.41/containers/json".
func splitVersion(path string) (version, rest string) {
	first, rest, ok := strings.Cut(strings.TrimPrefix(path, "/v"), "/")
	if !ok || !strings.HasPrefix(path, "/v") || first == "" || strings.Trim(first, "0123456789.") != "" {
		return "", path
	}
	return first, "/" + rest
}

// endpoint is what a route leads to.
type endpoint struct {
	server *server
	call   httputils.APIFunc
}

// ServeHTTP makes it the handler of a route; the server calls serve instead.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.serve(w, r, map[string]string{})
}

// serve answers errors. Docker's routers log through the context; what they would say is in the answer too.
func (e endpoint) serve(w http.ResponseWriter, r *http.Request, vars map[string]string) {
	ctx := log.WithLogger(r.Context(), silent)
	if err := e.call(ctx, w, r.WithContext(ctx), vars); err != nil {
		e.server.fail(ctx, w, r, err)
	}
}

func (s *server) fail(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	status := httpstatus.FromError(err)
	if status >= http.StatusInternalServerError && status != http.StatusNotImplemented && ctx.Err() == nil {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	_ = httputils.WriteJSON(w, status, &types.ErrorResponse{Message: err.Error()})
}

var silent = logrus.NewEntry(quiet())

func quiet() *logrus.Logger {
	l := logrus.New()
	l.SetLevel(logrus.PanicLevel)
	return l
}

// unsupported says which operation of the API the engine does not have.
func unsupported(what string) error {
	return engine.Errorf(engine.ErrUnsupported, "cannot %s: this engine does not support it", what)
}
