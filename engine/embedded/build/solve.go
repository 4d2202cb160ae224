package build

import (
	"context"
	"errors"
	"time"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/frontend"
	"github.com/moby/buildkit/identity"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/moby/buildkit/util/progress"
	"github.com/moby/buildkit/worker"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/internal/buildkit"
)

// entitlementsKey is where BuildKit's bridge looks for what a job may do beyond the usual.
const entitlementsKey = "llb.entitlements"

// build carries a request out and returns the image's ID.
func (k *kit) build(ctx context.Context, req request, files *contextFiles, report engine.Progress) (string, error) {
	defer k.pruner.poke()
	job, end, err := k.newJob(ctx, req, files)
	if err != nil {
		return "", engine.Errorf(engine.ErrInternal, "cannot build: %w", err)
	}
	defer end()
	out := buildkit.NewPrinter(report, req.quiet)
	printed := make(chan struct{})
	status := make(chan *client.SolveStatus)
	go func() {
		defer close(printed)
		for s := range status {
			out.Update(s)
		}
		out.Close()
	}()
	// The status ends with the job's progress, not with the context: what was printed before a failure is wanted.
	go func() { _ = job.Status(context.WithoutCancel(ctx), status) }()

	id, err := k.solveAndExport(ctx, job, req)
	job.CloseProgress()
	<-printed
	if err != nil {
		return "", out.Explain(ctx, err, req.dockerfile)
	}
	return id, nil
}

// newJob registers the build with the solver and connects its session.
func (k *kit) newJob(ctx context.Context, req request, files *contextFiles) (*solver.Job, func(), error) {
	session, endSession, err := openSession(ctx, k.sessions, req, files)
	if err != nil {
		return nil, nil, err
	}
	job, err := k.solver.NewJob(identity.NewID())
	if err != nil {
		endSession()
		return nil, nil, err
	}
	job.SessionID = session
	allowed := entitlements.Set{}
	if req.hostNet {
		allowed[entitlements.EntitlementNetworkHost] = nil
	}
	job.SetValue(entitlementsKey, allowed)
	return job, func() {
		// A job that is over cannot fail to be discarded in a way that anybody could mend.
		_ = job.Discard()
		endSession()
	}, nil
}

func (k *kit) solveAndExport(ctx context.Context, job *solver.Job, req request) (string, error) {
	bridges, err := k.newBridges()
	if err != nil {
		return "", err
	}
	defer bridges.Close()
	res, err := bridges.Bridge(job).Solve(ctx, frontend.SolveRequest{Frontend: frontendName, FrontendOpt: req.attrs}, job.SessionID)
	if err != nil {
		return "", err
	}
	defer releaseAll(ctx, res)
	ref, err := resultRef(ctx, res)
	if err != nil {
		return "", err
	}
	var id string
	err = job.InContext(ctx, func(ctx context.Context, jobCtx solver.JobContext) error {
		return asStep(ctx, "exporting to image", func() error {
			id, err = k.export(ctx, jobCtx.Session(), job.SessionID, ref, res.Metadata, req.tags)
			return err
		})
	})
	return id, err
}

// asStep lets work appear among the steps of the job that ctx is of.
func asStep(ctx context.Context, name string, work func() error) error {
	id := identity.NewID()
	start := time.Now()
	v := client.Vertex{Digest: digest.FromString(id), Name: name, Started: &start}
	w, _, _ := progress.NewFromContext(ctx, progress.WithMetadata("vertex", v.Digest))
	defer w.Close()
	_ = w.Write(id, v) // it cannot fail while it is open
	err := work()
	end := time.Now()
	v.Completed = &end
	if err != nil {
		v.Error = err.Error()
	}
	_ = w.Write(id, v)
	return err
}

func releaseAll(ctx context.Context, res *frontend.Result) {
	_ = res.EachRef(func(ref solver.ResultProxy) error {
		return ref.Release(context.WithoutCancel(ctx))
	})
}

// resultRef carries the graph out and returns the layer at its end, nil for an image without layers.
func resultRef(ctx context.Context, res *frontend.Result) (cache.ImmutableRef, error) {
	if len(res.Refs) > 0 {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot build for several platforms at once")
	}
	if res.Ref == nil {
		return nil, nil
	}
	result, err := res.Ref.Result(ctx)
	if err != nil {
		return nil, err
	}
	ref, ok := result.Sys().(*worker.WorkerRef)
	if !ok {
		return nil, errors.New("the solver returned a result of a kind that this engine does not know")
	}
	return ref.ImmutableRef, nil
}
