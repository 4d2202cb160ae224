package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/pkg/jsonmessage"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// manifest is an entry of manifest.json in an archive of docker save.
type manifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// ImageSave implements engine.Images.
func (e *Engine) ImageSave(ctx context.Context, refs []string) (io.ReadCloser, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var manifests []manifest
	for _, ref := range refs {
		err := e.lockedImage(ctx, "ImageSave", ref, func(i *img) error {
			m, err := i.save(w)
			if name, invalid := normalised(ref); invalid == nil && e.tags[name] == i.id {
				m.RepoTags = []string{familiar(name)}
			}
			manifests = append(manifests, m)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	index, err := json.Marshal(manifests)
	if err := errors.Join(err, addFile(w, "manifest.json", index), w.Close()); err != nil {
		return nil, err
	}
	return io.NopCloser(&out), nil
}

func (i *img) save(w *tar.Writer) (manifest, error) {
	layer, err := i.layer()
	if err != nil {
		return manifest{}, err
	}
	config, err := json.Marshal(i.config)
	if err != nil {
		return manifest{}, err
	}
	hex := i.id[len("sha256:"):]
	m := manifest{Config: hex + ".json", Layers: []string{hex + "/layer.tar"}}
	return m, errors.Join(addFile(w, m.Config, config), addFile(w, m.Layers[0], layer))
}

func addFile(w *tar.Writer, name string, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// ImageLoad implements engine.Images, for archives of docker save.
func (e *Engine) ImageLoad(ctx context.Context, archive io.Reader, progress engine.Progress) ([]string, error) {
	if err := e.enter(ctx, "ImageLoad", ""); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	err := eachEntry(archive, func(h *tar.Header, content []byte) error {
		files[h.Name] = content
		return nil
	})
	if err != nil {
		return nil, err
	}
	var manifests []manifest
	if err := json.Unmarshal(files["manifest.json"], &manifests); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot load images: the archive's manifest.json cannot be read: %w", err)
	}
	var refs []string
	for _, m := range manifests {
		loaded, err := e.load(m, files)
		if err != nil {
			return refs, err
		}
		refs = append(refs, loaded...)
	}
	progress.Report(jsonmessage.JSONMessage{Status: "Loaded"})
	return refs, nil
}

func (e *Engine) load(m manifest, files map[string][]byte) ([]string, error) {
	i := &img{}
	if err := json.Unmarshal(files[m.Config], &i.config); err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot load images: %s cannot be read: %w", m.Config, err)
	}
	root := &vfs{mounts: []mountPoint{{at: "/", tree: newTree()}}}
	for _, layer := range m.Layers {
		if err := root.unpack("/", bytes.NewReader(files[layer])); err != nil {
			return nil, err
		}
	}
	i.files = root.mounts[0].tree.(*memTree)
	if i.config.Config == nil {
		i.config.Config = &container.Config{}
	}
	refs := m.RepoTags
	if len(refs) == 0 {
		refs = []string{""}
	}
	for _, ref := range refs {
		if err := e.add(i, ref, events.ActionLoad); err != nil {
			return nil, err
		}
	}
	if len(m.RepoTags) == 0 {
		return []string{i.id}, nil
	}
	return m.RepoTags, nil
}

// imageSpec is the configuration in the form in which an image tells it.
func imageSpec(c *container.Config) *dockerspec.DockerOCIImageConfig {
	data, err := json.Marshal(c)
	if err != nil {
		return nil
	}
	out := new(dockerspec.DockerOCIImageConfig)
	if err := json.Unmarshal(data, out); err != nil {
		return nil
	}
	return out
}
