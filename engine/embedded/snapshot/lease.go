package snapshot

import (
	"context"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
)

// temporaryLabel marks leases of operations; after a crash nobody gives them back, so Open does.
const temporaryLabel = "stackrun.dev/temporary"

// Hold returns a context of the store's namespace under which everything that is written stays until release, whatever
// a collection finds. What shall stay for longer must be referenced by an image record or a lease of its own by then.
func (s *Store) Hold(ctx context.Context) (held context.Context, release func(), err error) {
	ctx = s.Context(ctx)
	lease, err := s.leases.Create(ctx, leases.WithRandomID(), leases.WithLabel(temporaryLabel, "true"))
	if err != nil {
		return nil, nil, err
	}
	release = func() {
		// The lease is given back even if the operation was cancelled. If the database refuses, the next Open does it.
		_ = s.leases.Delete(context.WithoutCancel(ctx), lease)
	}
	return leases.WithLease(ctx, lease.ID), release, nil
}

// HoldContent adds a blob, and what its labels lead to, to what ctx holds. ctx must come from Hold.
func (s *Store) HoldContent(ctx context.Context, dgst digest.Digest) error {
	return s.holdMore(ctx, leases.Resource{ID: dgst.String(), Type: "content"})
}

// holdSnapshot adds a snapshot, and those below it, to what ctx holds.
func (s *Store) holdSnapshot(ctx context.Context, key string) error {
	return s.holdMore(ctx, leases.Resource{ID: key, Type: "snapshots/" + Driver})
}

func (s *Store) holdMore(ctx context.Context, r leases.Resource) error {
	id, held := leases.FromContext(ctx)
	if !held {
		return engine.Errorf(engine.ErrInternal, "cannot hold %s without a lease", r.ID)
	}
	return s.leases.AddResource(ctx, leases.Lease{ID: id}, r)
}

// dropStaleLeases gives back what operations held that ended with the process.
func (s *Store) dropStaleLeases() error {
	ctx := s.Context(context.Background())
	stale, err := s.leases.List(ctx, `labels."`+temporaryLabel+`"`)
	if err != nil {
		return err
	}
	for _, lease := range stale {
		if err := s.leases.Delete(ctx, lease); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		s.Collect()
	}
	return nil
}
