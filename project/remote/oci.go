package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/log"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
)

// ociScheme is how addresses of artifacts begin.
const ociScheme = "oci://"

// manifestLimit is how large a manifest may be that registries must take
// (https://github.com/opencontainers/distribution-spec, "Pushing Manifests").
const manifestLimit = 4 << 20

// OCI fetches the Compose files of artifacts that docker compose publish and stack publish make. It may be used from several
// goroutines.
type OCI struct {
	options OCIOptions
	cache   cache
	memo    memo
}

// NewOCI returns an OCI.
func NewOCI(o OCIOptions) *OCI { return &OCI{options: o, cache: cache{o.Cache}} }

// Accepts says whether the address is that of an artifact: oci://registry/name[:tag][@digest].
func (o *OCI) Accepts(address string) bool { return strings.HasPrefix(address, ociScheme) }

// Fetch brings the artifact's files and returns their folder and the Compose file. The registry is asked for a tag once in
// the life of an OCI; a digest that is in the cache needs no network.
func (o *OCI) Fetch(ctx context.Context, address string) (root, file string, err error) {
	return o.memo.fetchOnce(quiet(ctx), address, address, func(ctx context.Context) (result, error) {
		name, err := reference.ParseDockerRef(strings.TrimPrefix(address, ociScheme))
		if err != nil {
			return result{}, err
		}
		root, err := o.fetch(ctx, name)
		return result{root, filepath.Join(root, mainFile)}, err
	})
}

// quiet keeps the registry client from writing to the log of the process: what it has to say comes as an error.
func quiet(ctx context.Context) context.Context {
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	return log.WithLogger(ctx, logrus.NewEntry(silent))
}

// keyOf is the cache's name for a digest.
func keyOf(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

func (o *OCI) fetch(ctx context.Context, name reference.Named) (string, error) {
	if pinned, ok := name.(reference.Digested); ok {
		if root, ok := o.cache.find(keyOf(pinned.Digest())); ok {
			return root, nil
		}
	}
	c := o.options.dial(name)
	defer c.close()
	top, err := c.resolve(ctx)
	if err != nil {
		return "", err
	}
	if err := top.Digest.Validate(); err != nil {
		return "", fmt.Errorf("%q: %w", top.Digest, err)
	}
	return o.cache.add(keyOf(top.Digest), func(dir string) error {
		m, err := c.manifest(ctx, top)
		if err != nil {
			return err
		}
		return c.unpack(ctx, m, dir)
	})
}

// manifest reads the artifact's manifest; of an index, the one in it that is a Compose project.
func (c *connection) manifest(ctx context.Context, desc ocispec.Descriptor) (*ocispec.Manifest, error) {
	content, err := c.read(ctx, desc, manifestLimit)
	if err != nil {
		return nil, err
	}
	if desc.MediaType == ocispec.MediaTypeImageIndex {
		var index ocispec.Index
		if err := json.Unmarshal(content, &index); err != nil {
			return nil, fmt.Errorf("its index cannot be read: %w", err)
		}
		i := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.ArtifactType == projectType })
		if i < 0 {
			return nil, errors.New("it is not a Compose project but a list of images")
		}
		if content, err = c.read(ctx, index.Manifests[i], manifestLimit); err != nil {
			return nil, err
		}
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("its manifest cannot be read: %w", err)
	}
	// Registries before OCI 1.1 know no artifact types; the type of the configuration stands for it.
	if m.ArtifactType == projectType || m.ArtifactType == "" && m.Config.MediaType == emptyConfigType {
		return &m, nil
	}
	kind := m.ArtifactType
	if kind == "" {
		kind = m.Config.MediaType
	}
	return nil, fmt.Errorf("it is not a Compose project but %q", kind)
}
