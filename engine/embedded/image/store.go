// Package image keeps images as Docker shows them: named by references and by the digest of their configuration.
package image

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
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

// Store is the image store. The methods are those of engine.Images unless their comment says otherwise.
type Store struct{ snapshots *snapshot.Store }

// New returns the image store over the snapshots. Opening costs nothing.
func New(snapshots *snapshot.Store) *Store { return &Store{snapshots: snapshots} }

var errNotYet = engine.Errorf(engine.ErrUnsupported, "images are not there yet")

// Resolve finds an image by name, digest reference, ID or unambiguous short ID. It is cheap.
func (s *Store) Resolve(ctx context.Context, ref string) (Image, error) { return Image{}, errNotYet }

// List implements engine.Images.
func (s *Store) List(ctx context.Context, opts image.ListOptions) ([]image.Summary, error) {
	return nil, errNotYet
}

// Inspect implements engine.Images.
func (s *Store) Inspect(ctx context.Context, ref string) (image.InspectResponse, error) {
	return image.InspectResponse{}, errNotYet
}

// History implements engine.Images.
func (s *Store) History(ctx context.Context, ref string) ([]image.HistoryResponseItem, error) {
	return nil, errNotYet
}

// Pull implements engine.Images.
func (s *Store) Pull(ctx context.Context, ref string, opts image.PullOptions, progress engine.Progress) error {
	return errNotYet
}

// Push implements engine.Images.
func (s *Store) Push(ctx context.Context, ref string, opts image.PushOptions, progress engine.Progress) error {
	return errNotYet
}

// Load implements engine.Images.
func (s *Store) Load(ctx context.Context, archive io.Reader, progress engine.Progress) ([]string, error) {
	return nil, errNotYet
}

// Save implements engine.Images.
func (s *Store) Save(ctx context.Context, refs []string) (io.ReadCloser, error) {
	return nil, errNotYet
}

// Import implements engine.Images.
func (s *Store) Import(ctx context.Context, rootfs io.Reader, ref string, opts image.ImportOptions) (string, error) {
	return "", errNotYet
}

// Tag implements engine.Images.
func (s *Store) Tag(ctx context.Context, source, target string) error { return errNotYet }

// Remove implements engine.Images. inUse says which containers were made from the image with that ID.
func (s *Store) Remove(ctx context.Context, ref string, opts image.RemoveOptions, inUse func(id string) []Use) ([]image.DeleteResponse, error) {
	return nil, errNotYet
}
