package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Kind is what a file of an artifact is to the project.
type Kind uint8

// The kinds of files. Main files are merged in their order.
const (
	Main Kind = iota
	Extended
	Env
)

// File is a file of an artifact. Its name is no path.
type File struct {
	Name    string
	Kind    Kind
	Content []byte
}

// Versions of the OCI specification by which artifacts are made. VersionAny is 1.1, or 1.0 where the registry does not take
// that.
const (
	VersionAny = ""
	Version1_0 = "1.0"
	Version1_1 = "1.1"
)

// Publication is what is sent to a registry.
type Publication struct {
	Files   []File
	Version string   // of the OCI specification
	Program string   // the version of the program, for annotations
	Images  []string // images that go along; the artifact refers to them
	Created time.Time
}

// Publish makes an artifact of the files, as docker compose publish does, sends it to the registry under the name
// (registry/name:tag) and returns its digest.
func (o *OCI) Publish(ctx context.Context, name string, p Publication) (digest.Digest, error) {
	ctx = quiet(ctx)
	named, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("cannot publish to %s: %w", name, err)
	}
	if _, pinned := named.(reference.Digested); pinned {
		return "", fmt.Errorf("cannot publish to %s: a digest is the outcome, not a name to publish under", name)
	}
	c := o.options.dial(named)
	defer c.close()
	manifest, err := c.publish(ctx, p)
	if err == nil && len(p.Images) > 0 {
		err = o.publishImages(ctx, c, manifest, p)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("cannot publish to %s: %w", reference.FamiliarString(named), err)
	}
	return manifest.Digest, nil
}

func (c *connection) publish(ctx context.Context, p Publication) (ocispec.Descriptor, error) {
	layers := make([]ocispec.Descriptor, len(p.Files))
	for i, f := range p.Files {
		layers[i] = f.layer(p.Program)
		if err := c.push(ctx, layers[i], f.Content, false); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	version := p.Version
	if version == VersionAny {
		version = Version1_1
	}
	desc, err := c.pushManifest(ctx, p, version, layers)
	var status remoteserrors.ErrUnexpectedStatus
	if p.Version == VersionAny && errors.As(err, &status) && status.StatusCode >= 400 && status.StatusCode < 500 &&
		status.StatusCode != http.StatusUnauthorized && status.StatusCode != http.StatusForbidden {
		desc, err = c.pushManifest(ctx, p, Version1_0, layers)
	}
	return desc, c.explain(err)
}

func (f File) layer(program string) ocispec.Descriptor {
	d := ocispec.Descriptor{
		MediaType: fileType, Digest: digest.FromBytes(f.Content), Size: int64(len(f.Content)),
		Annotations: map[string]string{versionAnnotation: program, fileAnnotation: f.Name},
	}
	switch f.Kind {
	case Extended:
		d.Annotations[extendsAnnotation] = "true"
	case Env:
		d.MediaType = envFileType
		d.Annotations = map[string]string{versionAnnotation: program, envFileAnnotation: f.Name}
	}
	return d
}

// pushManifest sends the manifest and its configuration, which is empty: in OCI 1.0, its type says what the artifact is.
func (c *connection) pushManifest(ctx context.Context, p Publication, version string, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: projectType, Config: ocispec.DescriptorEmptyJSON, Layers: layers,
		Annotations: map[string]string{ocispec.AnnotationCreated: p.Created.UTC().Format(time.RFC3339)},
	}
	if version == Version1_0 {
		m.ArtifactType, m.Config.MediaType = "", emptyConfigType
	}
	if err := c.push(ctx, m.Config, ocispec.DescriptorEmptyJSON.Data, false); err != nil {
		return ocispec.Descriptor{}, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return desc, c.push(ctx, desc, text, true)
}

// push sends a small thing, unless the registry has it. A manifest gets the tag too, if tagged is set.
func (c *connection) push(ctx context.Context, desc ocispec.Descriptor, data []byte, tagged bool) error {
	return c.send(ctx, desc, tagged, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil })
}

// send sends what the descriptor describes, unless the registry has it.
func (c *connection) send(ctx context.Context, desc ocispec.Descriptor, tagged bool, open func() (io.ReadCloser, error)) error {
	name := reference.TrimNamed(c.name).String() + "@" + desc.Digest.String()
	if tagged {
		name = c.name.String() + "@" + desc.Digest.String()
	}
	pusher, err := c.resolver.Pusher(ctx, name)
	if err != nil {
		return err
	}
	// so that the client library knows what kind of thing a type of its own stands for
	ctx = remotes.WithMediaTypeKeyPrefix(ctx, desc.MediaType, "artifact")
	w, err := pusher.Push(ctx, ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size})
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := open()
	if err != nil {
		return errors.Join(err, w.Close())
	}
	err = content.Copy(ctx, w, r, desc.Size, desc.Digest)
	return errors.Join(err, r.Close(), w.Close())
}
