package build

import (
	"context"
	"errors"
	"maps"
	"net"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/defaults"
	"github.com/moby/buildkit/cache/remotecache"
	inlineremotecache "github.com/moby/buildkit/cache/remotecache/inline"
	localremotecache "github.com/moby/buildkit/cache/remotecache/local"
	registryremotecache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/grpcerrors"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // how the API's messages are encoded
	"github.com/moby/buildkit/util/resolver"
	"google.golang.org/grpc"

	"stackrun.dev/stack/engine"
)

// BuildKit implements engine.Builds: the other end of the connection answers BuildKit's control API (gRPC over HTTP/2), which
// docker buildx and BuildKit's own client speak, until either side closes it or the Builder is closed.
func (b *Builder) BuildKit() (net.Conn, error) {
	k, done, err := b.begin()
	if err != nil {
		return nil, err
	}
	ours, err := b.serve(k, done)
	if err != nil {
		done()
	}
	return ours, err
}

// serve calls done when the connection has ended.
func (b *Builder) serve(k *kit, done func()) (net.Conn, error) {
	c, err := k.controlAPI()
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open the build API: %w", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, engine.Errorf(engine.ErrInternal, "cannot open the build API: %w", err)
	}
	watched := &watchedConn{Conn: theirs, closed: make(chan struct{})}
	if !c.listener.offer(watched) {
		return nil, errors.Join(engine.Errorf(engine.ErrUnavailable, "cannot build: %w", errClosed), ours.Close(), theirs.Close())
	}
	stop := context.AfterFunc(b.ctx, func() { watched.Close() })
	go func() {
		defer done()
		<-watched.closed
		stop()
		k.pruner.poke()
	}()
	return ours, nil
}

// controller is BuildKit's control API over a kit.
type controller struct {
	*control.Controller
	server   *grpc.Server
	listener *connListener
	served   sync.WaitGroup
}

// controlAPI opens the API when it is first asked for.
func (k *kit) controlAPI() (*controller, error) {
	k.controlMu.Lock()
	defer k.controlMu.Unlock()
	if k.control != nil {
		return k.control, nil
	}
	api, err := k.newController()
	if err != nil {
		return nil, err
	}
	c := &controller{
		Controller: api,
		server: grpc.NewServer(
			grpc.ChainUnaryInterceptor(grpcerrors.UnaryServerInterceptor), grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
			grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize), grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize),
		),
		listener: newConnListener(),
	}
	api.Register(c.server)
	c.served.Go(func() { _ = c.server.Serve(c.listener) }) // it ends when the listener is closed
	k.control = c
	return c, nil
}

func (k *kit) newController() (*control.Controller, error) {
	history, err := boltutil.Open(filepath.Join(k.root, "history.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	hosts := resolver.NewRegistryConfig(nil)
	c, err := control.NewController(control.Opt{
		SessionManager:   k.sessions,
		WorkerController: k.workers,
		Frontends:        map[string]frontend.Frontend{frontendName: localFrontend{forwarder.NewGatewayForwarder(k.workers.Infos(), dockerfile.Build)}},
		CacheManager:     k.cache,
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"registry": registryremotecache.ResolveCacheExporterFunc(k.sessions, hosts),
			"local":    localremotecache.ResolveCacheExporterFunc(k.sessions),
			"inline":   inlineremotecache.ResolveCacheExporterFunc(),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registryremotecache.ResolveCacheImporterFunc(k.sessions, k.worker.ContentStore(), hosts),
			"local":    localremotecache.ResolveCacheImporterFunc(k.sessions),
		},
		Entitlements:   []string{entitlements.EntitlementNetworkHost.String(), entitlements.EntitlementSecurityInsecure.String()},
		HistoryDB:      history,
		CacheStore:     k.keys,
		LeaseManager:   k.worker.LeaseManager(),
		ContentStore:   k.worker.ContentStore(),
		GarbageCollect: k.worker.GarbageCollect,
	})
	if err != nil {
		return nil, errors.Join(err, history.Close())
	}
	return c, nil
}

// close ends what is served. It closes the worker and the store of cache keys too, which the API shares with the kit.
func (c *controller) close() error {
	c.listener.Close()
	c.server.Stop()
	c.served.Wait()
	return c.Controller.Close()
}

// localFrontend fills in what a client of this engine means when it does not say otherwise: the frontend that is built in,
// instead of one that "# syntax=" names in a registry; and base images as they are here, if they are.
type localFrontend struct{ frontend.Frontend }

// Solve implements frontend.Frontend.
func (f localFrontend) Solve(ctx context.Context, bridge frontend.FrontendLLBBridge, exec executor.Executor, opts map[string]string, inputs map[string]*pb.Definition, sessionID string, sessions *session.Manager) (*frontend.Result, error) {
	filled := map[string]string{"cmdline": embeddedFrontend, "image-resolve-mode": "local"}
	maps.Copy(filled, opts)
	return f.Frontend.Solve(ctx, bridge, exec, filled, inputs, sessionID, sessions)
}

// watchedConn tells when it is closed.
type watchedConn struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *watchedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.closed) })
	return err
}

// connListener hands connections that are there already to a server.
type connListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newConnListener() *connListener {
	return &connListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

// offer gives the connection to the server; false: it is gone.
func (l *connListener) offer(c net.Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
		return false
	}
}

func (l *connListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *connListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *connListener) Addr() net.Addr { return &net.UnixAddr{Name: "buildkit", Net: "unix"} }
