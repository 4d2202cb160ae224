package build

import (
	"context"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/imageutil"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

const (
	// pruneEvery is how long the cache is left alone after it was looked through.
	pruneEvery = 10 * time.Minute
	// cacheShare is the part of the disk that the build cache may take, as 1/cacheShare.
	cacheShare = 10
	// keepSources is how long files of build contexts and cache mounts stay that nothing has used.
	keepSources = 7 * 24 * time.Hour
)

// pruner keeps the build cache in bounds. It looks after builds, not on a clock.
type pruner struct {
	kit *kit

	mu      sync.Mutex
	last    time.Time
	running sync.WaitGroup
	stop    context.CancelFunc
}

// poke looks through the cache in the background if it has not been for a while.
func (p *pruner) poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) < pruneEvery {
		return
	}
	p.last = time.Now()
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.running.Go(func() {
		defer stop()
		// What cannot be pruned now is looked at again later.
		_, _ = p.kit.prune(ctx, policy(p.kit.snapshots.Root())...)
	})
}

func (p *pruner) close() {
	p.mu.Lock()
	if p.stop != nil {
		p.stop()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// policy removes old sources first, then whatever is over the share of the disk.
func policy(dir string) []client.PruneInfo {
	rules := []client.PruneInfo{{
		Filter:       []string{"type==source.local", "type==exec.cachemount", "type==source.git.checkout"},
		KeepDuration: keepSources,
	}}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err == nil {
		rules = append(rules, client.PruneInfo{All: true, MaxUsedSpace: int64(st.Blocks) * st.Bsize / cacheShare})
	}
	return rules
}

// Prune empties the build cache and returns how many bytes were freed. What images and running builds use stays.
func (b *Builder) Prune(ctx context.Context) (freed int64, err error) {
	k, done, err := b.begin()
	if err != nil {
		return 0, err
	}
	defer done()
	freed, err = k.prune(ctx, client.PruneInfo{All: true})
	if err != nil {
		return freed, engine.Errorf(engine.ErrInternal, "cannot empty the build cache: %w", err)
	}
	return freed, nil
}

// prune removes cache records by the rules and adds up their sizes.
func (k *kit) prune(ctx context.Context, rules ...client.PruneInfo) (freed int64, err error) {
	imageutil.CancelCacheLeases()
	records := make(chan client.UsageInfo)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r := range records {
			freed += r.Size
		}
	}()
	err = k.worker.Prune(ctx, records, rules...)
	close(records)
	<-done
	return freed, err
}
