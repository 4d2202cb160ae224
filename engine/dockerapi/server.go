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
	s := &server{versions: versions, log: opts.Log, mux: mux.NewRouter()}
	s.add(eventRoutes(e))
	s.add(networkRoutes(e))
	s.add(imageRoutes(e))
	s.add(buildRoutes(e))
	s.add(logRoutes(e))
	s.add(containerrouter.NewRouter(&containerBackend{e}, decoder{}, opts.CgroupV2).Routes())
	s.add(volumerouter.NewRouter(volumeBackend{e}, noSwarm{}).Routes())
	s.add(systemrouter.NewRouter(systemBackend{e}, nil, noBuildCache{}, features).Routes())
	s.mux.NotFoundHandler = http.HandlerFunc(notFound)
	s.mux.MethodNotAllowedHandler = http.HandlerFunc(notFound)
	return s
}

// features tells clients that builds take a tar of the context, not a BuildKit session.
func features() map[string]bool { return map[string]bool{"buildkit": false} }

type server struct {
	versions *middleware.VersionMiddleware
	log      *slog.Logger
	mux      *mux.Router
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *server) add(routes []router.Route) {
	for _, r := range routes {
		handler := s.handler(s.versions.WrapHandler(r.Handler()))
		s.mux.Path("/v{version:[0-9.]+}" + r.Path()).Methods(r.Method()).Handler(handler)
		s.mux.Path(r.Path()).Methods(r.Method()).Handler(handler)
	}
}

// handler answers errors. Docker's routers log through the context; what they would say is in the answer too.
func (s *server) handler(serve httputils.APIFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := log.WithLogger(r.Context(), silent)
		vars := mux.Vars(r)
		if vars == nil {
			vars = map[string]string{}
		}
		if err := serve(ctx, w, r.WithContext(ctx), vars); err != nil {
			s.fail(ctx, w, r, err)
		}
	})
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

func notFound(w http.ResponseWriter, _ *http.Request) {
	_ = httputils.WriteJSON(w, http.StatusNotFound, &types.ErrorResponse{Message: "page not found"})
}

// unsupported says which operation of the API the engine does not have.
func unsupported(what string) error {
	return engine.Errorf(engine.ErrUnsupported, "cannot %s: this engine does not support it", what)
}
