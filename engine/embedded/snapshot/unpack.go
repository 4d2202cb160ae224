package snapshot

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/engine"
)

// Layer is one layer of an image: the blob that carries it and the digest that its plain tar must have.
type Layer struct {
	Blob   ocispec.Descriptor
	DiffID digest.Digest
}

// UnpackHooks connects an unpacking to the download that feeds it. Both may be nil.
type UnpackHooks struct {
	// Ready returns when the blob of layer i is in the content store.
	Ready func(ctx context.Context, i int) error
	// Unpacked is called in the order of the layers when layer i is there.
	Unpacked func(i int)
}

// Unpack makes snapshots of the layers, the bottom one first, and returns the key of the topmost. Layers that are there
// already are shared. Several layers are extracted at once, each apart from its parent, and joined in order. ctx must
// come from Hold. A blob whose content is not what its DiffID says is refused with ErrInvalid.
func (s *Store) Unpack(ctx context.Context, layers []Layer, hooks UnpackHooks) (key string, err error) {
	if _, held := leases.FromContext(ctx); !held {
		return "", engine.Errorf(engine.ErrInternal, "cannot unpack without a lease")
	}
	u := &unpacking{store: s, layers: layers, hooks: hooks, chain: chainIDs(layers)}
	return u.run(ctx)
}

// chainIDs are the keys under which the layers are stored.
func chainIDs(layers []Layer) []string {
	ids := make([]digest.Digest, len(layers))
	for i, l := range layers {
		ids[i] = l.DiffID
	}
	chain := make([]string, len(ids))
	for i, id := range identity.ChainIDs(ids) {
		chain[i] = id.String()
	}
	return chain
}

type unpacking struct {
	store  *Store
	layers []Layer
	chain  []string // the key of each layer
	hooks  UnpackHooks
}

// extracted is a layer on its way: extracted without its parent, to be joined with it.
type extracted struct {
	present bool   // somebody else has put it there meanwhile
	key     string // of the active snapshot; "" if the layer needs its parent to be extracted
	unlock  func()
	err     error
}

func (u *unpacking) run(ctx context.Context) (string, error) {
	if len(u.layers) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]chan extracted, len(u.layers))
	for i := range results {
		results[i] = make(chan extracted, 1)
	}
	// The group starts them in order, so the layer that is joined next is always among those that run.
	group := new(errgroup.Group)
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	go func() {
		for i := range u.layers {
			group.Go(func() error { results[i] <- u.extract(ctx, i); return nil })
		}
	}()
	var failed error
	for i := range u.layers {
		e := <-results[i]
		if failed == nil {
			if failed = u.join(ctx, i, &e); failed != nil {
				cancel()
			}
		}
		u.discard(ctx, &e)
	}
	if failed != nil {
		return "", failed
	}
	return u.chain[len(u.chain)-1], nil
}

// extract puts layer i into an active snapshot without a parent.
func (u *unpacking) extract(ctx context.Context, i int) (e extracted) {
	if u.hooks.Ready != nil {
		if e.err = u.hooks.Ready(ctx, i); e.err != nil {
			return e
		}
	}
	e.unlock, e.err = u.store.extracts.lock(ctx, u.chain[i])
	if e.err != nil {
		return e
	}
	if e.present, e.err = u.store.there(ctx, u.chain[i]); e.present || e.err != nil {
		return e
	}
	e.key, e.err = u.apply(ctx, i, "")
	if errors.Is(e.err, errNeedsParent) {
		e.err = nil
	}
	return e
}

// there says whether the snapshot exists, and holds it if it does.
func (s *Store) there(ctx context.Context, key string) (bool, error) {
	if _, err := s.snapshots.Stat(ctx, key); err != nil {
		return false, nil
	}
	if err := s.holdSnapshot(ctx, key); err != nil {
		return false, err
	}
	_, err := s.snapshots.Stat(ctx, key) // a collection may have come between
	return err == nil, nil
}

// join commits layer i on top of its parent, which is there.
func (u *unpacking) join(ctx context.Context, i int, e *extracted) error {
	if e.err != nil {
		return e.err
	}
	parent := ""
	if i > 0 {
		parent = u.chain[i-1]
	}
	if !e.present {
		if e.key == "" {
			if e.key, e.err = u.apply(ctx, i, parent); e.err != nil {
				return e.err
			}
		}
		err := u.store.snapshots.Commit(ctx, u.chain[i], e.key, snapshots.WithParent(parent))
		if err != nil && !errdefs.IsAlreadyExists(err) {
			return fmt.Errorf("cannot keep layer %s: %w", u.layers[i].Blob.Digest, err)
		}
		if err == nil {
			e.key = ""
		}
	}
	if u.hooks.Unpacked != nil {
		u.hooks.Unpacked(i)
	}
	return nil
}

// discard gives back what is left of an extraction.
func (u *unpacking) discard(ctx context.Context, e *extracted) {
	if e.key != "" {
		// What cannot be removed now is held by the operation's lease only and is collected later.
		_ = u.store.snapshots.Remove(context.WithoutCancel(ctx), e.key)
		u.store.Collect()
	}
	if e.unlock != nil {
		e.unlock()
	}
}

// apply extracts layer i over parent ("" for none) and returns the key of the active snapshot.
func (u *unpacking) apply(ctx context.Context, i int, parent string) (key string, err error) {
	sn := u.store.snapshots
	key = "extract-" + randomName()
	mounts, err := sn.Prepare(ctx, key, parent)
	if err != nil {
		return "", fmt.Errorf("cannot make room for layer %s: %w", u.layers[i].Blob.Digest, err)
	}
	dir, parents, err := upperDir(mounts)
	if err == nil {
		err = u.store.extractLayer(ctx, u.layers[i], target{dir: dir, parents: parents, bottom: i == 0, alone: i > 0 && parent == ""})
	}
	if err != nil {
		_ = sn.Remove(context.WithoutCancel(ctx), key)
		u.store.Collect()
		return "", err
	}
	return key, nil
}

// upperDir takes the writable directory and the directories below it out of the mount of an active snapshot.
func upperDir(mounts []mount.Mount) (dir string, parents []string, err error) {
	if len(mounts) != 1 {
		return "", nil, fmt.Errorf("%d mounts where one was expected", len(mounts))
	}
	if mounts[0].Type == "bind" {
		return mounts[0].Source, nil, nil
	}
	dir = option(mounts[0], "upperdir")
	if dir == "" {
		return "", nil, fmt.Errorf("a mount of type %s without upperdir", mounts[0].Type)
	}
	parents, err = lowerDirs(mounts)
	return dir, parents, err
}
