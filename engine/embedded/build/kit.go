package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/cache/remotecache"
	registryremotecache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/exporter/containerimage"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/solver/llbsolver"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/semaphore"

	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/snapshot"
)

// frontendName is the name of the only frontend.
const frontendName = "dockerfile.v0"

// embeddedFrontend keeps the frontend from looking for a newer one of itself in a registry, which "# syntax=" asks for.
const embeddedFrontend = "docker/dockerfile"

// kit is BuildKit, opened.
type kit struct {
	snapshots *snapshot.Store
	images    *image.Store

	worker   *base.Worker
	workers  *worker.Controller
	sessions *session.Manager
	keys     *bboltcachestorage.Store
	solver   *solver.Solver
	shared   *llbsolver.Solver // answers builds that are started by builds
	writer   *containerimage.ImageWriter
	cache    solver.CacheManager
	pruner   pruner
	root     string

	controlMu sync.Mutex
	control   *controller // nil before the first connection to it
}

func openKit(opts Options) (_ *kit, err error) {
	nameVersion()
	if err := os.MkdirAll(opts.Root, 0o700); err != nil {
		return nil, err
	}
	k := &kit{snapshots: opts.Snapshots, images: opts.Images, workers: &worker.Controller{}, root: opts.Root}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.close())
		}
	}()
	if k.sessions, err = session.NewManager(); err != nil {
		return k, err
	}
	wopt, err := workerOptions(opts)
	if err != nil {
		return k, err
	}
	if k.worker, err = base.NewWorker(context.Background(), wopt); err != nil {
		return k, errors.Join(err, wopt.MetadataStore.Close())
	}
	if err := k.workers.Add(exportingWorker{k.worker, k}); err != nil {
		return k, err
	}
	if k.keys, err = bboltcachestorage.NewStore(filepath.Join(opts.Root, "keys.db")); err != nil {
		return k, err
	}
	if k.writer, err = containerimage.NewImageWriter(containerimage.WriterOpt{
		Snapshotter: wopt.Snapshotter, ContentStore: wopt.ContentStore, Applier: wopt.Applier, Differ: wopt.Differ,
	}); err != nil {
		return k, err
	}
	if k.shared, err = k.newBridges(); err != nil {
		return k, err
	}
	k.cache = solver.NewCacheManager(context.Background(), "local", k.keys, worker.NewCacheResultStorage(k.workers))
	k.solver = solver.NewSolver(solver.SolverOpt{
		ResolveOpFunc: func(v solver.Vertex, b solver.Builder) (solver.Op, error) {
			return k.worker.ResolveOp(v, k.shared.Bridge(b), k.sessions, worker.ProxyOpt{})
		},
		DefaultCache: k.cache,
	})
	k.pruner.kit = k
	return k, nil
}

// workerOptions wires the worker over the engine's own store, in its namespace.
func workerOptions(opts Options) (base.WorkerOpt, error) {
	sn := opts.Snapshots
	id, err := base.ID(opts.Root)
	if err != nil {
		return base.WorkerOpt{}, err
	}
	md, err := metadata.NewStore(filepath.Join(opts.Root, "cache.db"))
	if err != nil {
		return base.WorkerOpt{}, err
	}
	exec, err := newExecutor(opts.Root, opts.Runner)
	if err != nil {
		return base.WorkerOpt{}, errors.Join(err, md.Close())
	}
	blobs := containerdsnapshot.NewContentStore(sn.Content(), snapshot.Namespace)
	leases := leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(sn.Metadata()), snapshot.Namespace)
	return base.WorkerOpt{
		ID:              id,
		Root:            opts.Root,
		Labels:          map[string]string{},
		Platforms:       []ocispec.Platform{platforms.Normalize(platforms.DefaultSpec())},
		Executor:        exec,
		Snapshotter:     containerdsnapshot.NewSnapshotter(snapshot.Driver, plainLabels{sn.Snapshotter()}, snapshot.Namespace, nil),
		ContentStore:    blobs,
		Applier:         apply.NewFileSystemApplier(blobs),
		Differ:          walking.NewWalkingDiff(blobs),
		ImageStore:      localImages{Store: sn.Images(), snapshots: sn},
		RegistryHosts:   resolver.NewRegistryConfig(nil),
		LeaseManager:    leases,
		GarbageCollect:  sn.Metadata().GarbageCollect,
		ParallelismSem:  semaphore.NewWeighted(int64(max(2, runtime.GOMAXPROCS(0)))),
		MetadataStore:   md,
		MountPoolRoot:   filepath.Join(opts.Root, mountPool),
		ResourceMonitor: nil,
	}, nil
}

// newBridges makes what connects frontends with the solver. It remembers something of every build that goes through it,
// so each build gets its own.
func (k *kit) newBridges() (*llbsolver.Solver, error) {
	return llbsolver.New(llbsolver.Opt{
		WorkerController: k.workers,
		SessionManager:   k.sessions,
		Frontends: map[string]frontend.Frontend{
			frontendName: forwarder.NewGatewayForwarder(k.workers.Infos(), dockerfile.Build),
		},
		CacheResolvers: map[string]remotecache.ResolveCacheImporterFunc{
			"registry": registryremotecache.ResolveCacheImporterFunc(k.sessions, k.worker.ContentStore(), resolver.NewRegistryConfig(nil)),
		},
	})
}

func (k *kit) close() error {
	var errs []error
	k.pruner.close()
	if k.solver != nil {
		k.solver.Close()
	}
	if k.shared != nil {
		errs = append(errs, k.shared.Close())
	}
	if k.control != nil {
		return errors.Join(append(errs, k.control.close())...)
	}
	if k.keys != nil {
		errs = append(errs, k.keys.Close())
	}
	if k.worker != nil {
		errs = append(errs, k.worker.Close())
	}
	return errors.Join(errs...)
}
