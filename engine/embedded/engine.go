// Package embedded is the engine that needs no daemon: it runs containers on this host by itself.
//
// It is made of parts that know nothing of each other (image, snapshot, build, network, volume, runtime, logs,
// container, events, metadata); this package wires them. What a container is and in which state lives in package
// container; here is the order in which the parts are asked when one is created, started, ends or is removed, and who
// gives back what.
//
// # Order and ownership
//
// Every operation that starts a container, cleans up after it or removes it holds the container's own lock, so
// that containers never wait for each other. A start takes, in this order: the image's layers, volumes and files, a
// network sandbox, and the process; each step that succeeded is undone if a later one fails. The end of a process is
// handled once, by finish, whoever saw it.
//
// # What survives
//
// Records are durable when a call returns. Containers run without the engine; Open takes over what runs, learns what
// ended meanwhile, and applies restart policies at once.
package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/build"
	"stackrun.dev/stack/engine/embedded/container"
	"stackrun.dev/stack/engine/embedded/events"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/engine/embedded/metadata"
	"stackrun.dev/stack/engine/embedded/network"
	"stackrun.dev/stack/engine/embedded/runtime"
	"stackrun.dev/stack/engine/embedded/runtime/footprint"
	"stackrun.dev/stack/engine/embedded/shim/protocol/spread"
	"stackrun.dev/stack/engine/embedded/snapshot"
	"stackrun.dev/stack/engine/embedded/volume"
)

// Options say where an engine lives and whom it tells that it is needed.
type Options struct {
	Root string // state that outlives a reboot; made if missing, mode 0700
	Run  string // sockets and what else is gone after a reboot; made if missing, mode 0700

	// OnBusy, if not nil, is called with the number of containers that run or are about to be restarted, at first by
	// Open and then whenever it changes. It must not block.
	OnBusy func(running int)
}

// Engine is an open embedded engine. One engine at a time uses a root; the caller makes sure of that.
type Engine struct {
	opts Options

	records    *metadata.DB
	store      container.Store // of the containers' records
	containers *container.Registry
	bus        *events.Bus
	runtime    processes
	networks   networks
	volumes    *volume.Manager
	snapshots  *snapshot.Store
	images     *image.Store
	builder    *build.Builder

	pins      pins
	names     *namePusher
	execs     execTable
	monitors  monitorTable
	waiting   attachTable
	busy      busyCounter
	restarts  restartTable
	handovers handovers
	migration migration
	syncing   turns
	roots     rootUses
	inherited sync.Map // IDs of containers that an earlier engine made
	leftovers sync.Map // IDs of processes that are being cleared, with the channel to close when they have ended
	volumeUse volumeUse
	volumeMu  sync.RWMutex // held for writing to remove a volume, for reading to begin using one

	background context.Context // ends when the engine is closed
	stop       context.CancelFunc
	tasks      sync.WaitGroup
	ready      chan struct{} // closed when what was there before has been taken over
}

var _ engine.Engine = (*Engine)(nil)

// Open takes over the engine's state and containers. ErrUnavailable: something the engine needs of the host is not there.
func Open(ctx context.Context, opts Options) (*Engine, error) {
	for _, dir := range []string{opts.Root, opts.Run, filepath.Join(opts.Root, "containers")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cannot open the engine: %w", err)
		}
	}
	spread.Below(filepath.Join(opts.Root, "containers"))
	e := &Engine{opts: opts, bus: events.New(), ready: make(chan struct{})}
	e.background, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.names = newNamePusher(e)
	e.busy.tell = opts.OnBusy
	if err := e.openParts(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := e.takeOver(ctx); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	_ = footprint.ForgetProgram() // most of what starting touched is never needed again
	return e, nil
}

// openParts opens the slow parts side by side.
func (e *Engine) openParts(ctx context.Context) error {
	var err error
	if e.records, err = metadata.Open(filepath.Join(e.opts.Root, "records.db")); err != nil {
		return err
	}
	e.store = e.records.Bucket("containers")
	var group errgroup.Group
	group.Go(func() (err error) {
		e.containers, err = container.OpenRegistry(e.store)
		return err
	})
	group.Go(func() (err error) {
		e.volumes, err = volume.Open(filepath.Join(e.opts.Root, "volumes"), e.records.Bucket("volumes"))
		return err
	})
	group.Go(func() error {
		m, err := network.Open(network.Options{Instance: e.instance(), Store: e.records.Bucket("networks"), OpenNamespace: e.openNetwork})
		if err == nil {
			e.networks = m
		}
		return err
	})
	group.Go(func() error {
		r, err := runtime.Open(ctx, runtime.Options{
			RunDir: filepath.Join(e.opts.Run, "shims"), StateDir: filepath.Join(e.opts.Root, "runtime"), OnEvent: e.onEvent,
		})
		if err == nil {
			e.runtime = r
		}
		return err
	})
	group.Go(func() (err error) {
		if e.snapshots, err = snapshot.Open(filepath.Join(e.opts.Root, "images")); err != nil {
			return err
		}
		e.images = image.New(e.snapshots)
		e.builder = build.New(build.Options{
			Root: filepath.Join(e.opts.Root, "build"), Snapshots: e.snapshots, Images: e.images, Runner: stepRunner{e},
		})
		return nil
	})
	return group.Wait()
}

// instance tells the kernel objects of engines on one host apart: 8 hexadecimal digits of the root's path.
func (e *Engine) instance() string {
	root, err := filepath.Abs(e.opts.Root)
	if err != nil {
		root = e.opts.Root
	}
	sum := sha256.Sum256([]byte(filepath.Clean(root)))
	return hex.EncodeToString(sum[:4])
}

// Close leaves the containers running and closes everything else. Calls under way should have ended.
func (e *Engine) Close() error {
	e.stop()
	e.bus.Close()
	e.tasks.Wait()
	var errs []error
	if e.builder != nil {
		errs = append(errs, e.builder.Close())
	}
	e.pins.releaseAll()
	if e.runtime != nil {
		errs = append(errs, e.runtime.Close())
	}
	if e.networks != nil {
		errs = append(errs, e.networks.Close())
	}
	if e.snapshots != nil {
		errs = append(errs, e.snapshots.Close())
	}
	removeEmptyCgroups()
	if e.records != nil {
		errs = append(errs, e.records.Close())
	}
	return errors.Join(errs...)
}

// task runs f in the background; Close waits for it. f ends soon after the context is done.
func (e *Engine) task(f func(ctx context.Context)) {
	e.tasks.Go(func() { f(e.background) })
}

// dir is where the container's files are.
func (e *Engine) dir(id string) string { return filepath.Join(e.opts.Root, "containers", id) }

func (e *Engine) find(ref string) (*container.Container, error) { return e.containers.Find(ref) }
