// Package image keeps images as Docker shows them: named by references and by the digest of their configuration.
//
// An image's manifest, configuration and layers are blobs in the content store of package snapshot, its layers are
// unpacked there as well. What makes an image of them is a record for each of its names; an image that has lost its last
// name but was not removed keeps a record without one. A collection takes what no record leads to.
package image

import (
	"context"
	"sync"

	"github.com/containerd/containerd/v2/core/images"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine/embedded/snapshot"
)

// Image is what a container needs to know of an image.
type Image struct {
	ID          string                    // "sha256:…", the digest of the configuration
	Config      dockerspec.DockerOCIImage // the configuration: Config.Config has Cmd, Env, Healthcheck, …
	Snapshot    string                    // key for snapshot.Store.Lower
	RepoTags    []string                  // familiar form, sorted
	RepoDigests []string                  // familiar form, sorted
	Size        int64                     // bytes of all layers, unpacked
}

// Use is one container that was made from an image.
type Use struct {
	Container string // short ID or name, for messages
	Running   bool
}

// Store is the image store. The methods are those of engine.Images unless their comment says otherwise. They may be
// called from several goroutines.
type Store struct {
	snapshots *snapshot.Store
	records   images.Store

	naming  sync.Mutex // held while names are given and taken, which is several steps
	cache   catalogCache
	configs configCache
}

// New returns the image store over the snapshots. It costs nothing.
func New(snapshots *snapshot.Store) *Store {
	return &Store{snapshots: snapshots, records: snapshots.Images()}
}

// configCache remembers parsed configurations: they never change, and creating containers asks for them again and again.
type configCache struct {
	mu   sync.Mutex
	byID map[string]dockerspec.DockerOCIImage
}

// maxCachedConfigs bounds the cache. It is far above the number of images that one set of projects uses.
const maxCachedConfigs = 128

func (c *configCache) get(id string, load func() (dockerspec.DockerOCIImage, error)) (dockerspec.DockerOCIImage, error) {
	c.mu.Lock()
	cfg, ok := c.byID[id]
	c.mu.Unlock()
	if ok {
		return cfg, nil
	}
	cfg, err := load()
	if err != nil {
		return cfg, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil || len(c.byID) >= maxCachedConfigs {
		c.byID = map[string]dockerspec.DockerOCIImage{}
	}
	c.byID[id] = cfg
	return cfg, nil
}

func (s *Store) context(ctx context.Context) context.Context { return s.snapshots.Context(ctx) }
