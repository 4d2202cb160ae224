package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"

	"stackrun.dev/stack/engine"
)

// img is an image of one layer.
type img struct {
	id     string
	config imageConfig
	files  *memTree
	size   int64
}

// imageConfig is the JSON whose digest is the image's ID.
type imageConfig struct {
	Architecture string            `json:"architecture"`
	OS           string            `json:"os"`
	Created      time.Time         `json:"created"`
	Author       string            `json:"author,omitempty"`
	Comment      string            `json:"comment,omitempty"`
	Config       *container.Config `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []imageHistory `json:"history"`
}

type imageHistory struct {
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Comment   string    `json:"comment,omitempty"`
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layer is the image's files as a tar, the same bytes every time.
func (i *img) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(i.files.nodes)) {
		n := i.files.nodes[name]
		if name == "" {
			continue
		}
		if err := w.WriteHeader(header(name, n)); err != nil {
			return nil, err
		}
		if _, err := w.Write(n.data); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// seal computes the IDs. The image does not change afterwards.
func (i *img) seal() error {
	layer, err := i.layer()
	if err != nil {
		return err
	}
	i.size = int64(len(layer))
	i.config.RootFS.Type, i.config.RootFS.DiffIDs = "layers", []string{digest(layer)}
	config, err := json.Marshal(i.config)
	if err != nil {
		return err
	}
	i.id = digest(config)
	return nil
}

func newImage(files *memTree, config container.Config, createdBy string) *img {
	i := &img{files: files, config: imageConfig{Architecture: "amd64", OS: "linux", Created: now(), Config: &config}}
	i.config.History = []imageHistory{{Created: i.config.Created, CreatedBy: createdBy}}
	return i
}

// AddImage makes an image that has all commands of the engine in /bin, named ref. It panics if ref is none.
func (e *Engine) AddImage(ref string, config container.Config) (id string) {
	i, name := e.imageWithPrograms(ref, config)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep(i, name)
	return i.id
}

// AddRemoteImage puts such an image into a registry, from which it can be pulled.
func (e *Engine) AddRemoteImage(ref string, config container.Config) {
	i, name := e.imageWithPrograms(ref, config)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remote[name], e.registries[domain(name)] = i, true
}

func (e *Engine) imageWithPrograms(ref string, config container.Config) (*img, string) {
	files := newTree()
	for program := range e.programs {
		_ = files.put("bin/"+program, node{mode: 0o755, data: []byte(program)})
	}
	_ = files.put("tmp", directory())
	i := newImage(files, config, "AddImage "+ref)
	name, err := normalised(ref)
	if err := errors.Join(err, i.seal()); err != nil {
		panic("memory: " + err.Error())
	}
	return i, name
}

// keep stores an image under a normalised name; "" for none.
func (e *Engine) keep(i *img, name string) {
	if old := e.images[i.id]; old == nil {
		e.images[i.id] = i
	}
	if name != "" {
		e.tags[name] = i.id
	}
}

// normalised is the reference in full: "docker.io/library/debian:latest".
func normalised(ref string) (string, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", engine.Errorf(engine.ErrInvalid, "cannot use %q as the name of an image: %w", ref, err)
	}
	return reference.TagNameOnly(named).String(), nil
}

func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

// image finds an image by ID, a prefix of it, or name.
func (e *Engine) image(ref string) (*img, error) {
	if i := e.images[ref]; i != nil {
		return i, nil
	}
	if name, err := normalised(ref); err == nil {
		if i := e.images[e.tags[name]]; i != nil {
			return i, nil
		}
	}
	var found []*img
	if prefix := strings.TrimPrefix(ref, "sha256:"); len(prefix) >= 4 {
		for id, i := range e.images {
			if strings.HasPrefix(id, "sha256:"+prefix) {
				found = append(found, i)
			}
		}
	}
	if len(found) != 1 {
		return nil, engine.Errorf(engine.ErrNotFound, "cannot find image %s: no such image", ref)
	}
	return found[0], nil
}

// lockedImage runs an operation on an image.
func (e *Engine) lockedImage(ctx context.Context, op, ref string, do func(i *img) error) error {
	if err := e.enter(ctx, op, ref); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i, err := e.image(ref)
	if err != nil {
		return err
	}
	return do(i)
}

// names are the familiar names of an image, sorted.
func (e *Engine) names(i *img) []string {
	names := []string{}
	for name, id := range e.tags {
		if id == i.id {
			names = append(names, familiar(name))
		}
	}
	slices.Sort(names)
	return names
}

func (e *Engine) imageEvent(action events.Action, id, name string) {
	e.events.publish(events.ImageEventType, action, id, map[string]string{"name": name})
}

// ImageList implements engine.Images.
func (e *Engine) ImageList(ctx context.Context, opts image.ListOptions) ([]image.Summary, error) {
	if err := e.enter(ctx, "ImageList", ""); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []image.Summary
	for _, i := range e.images {
		names := e.names(i)
		if !i.matches(names, opts) {
			continue
		}
		list = append(list, image.Summary{
			ID: i.id, RepoTags: names, RepoDigests: []string{}, Created: i.config.Created.Unix(), Size: i.size, SharedSize: -1,
			Labels: maps.Clone(i.config.Config.Labels), Containers: -1,
		})
	}
	slices.SortFunc(list, func(a, b image.Summary) int {
		return strings.Compare(first(append(a.RepoTags, a.ID)...), first(append(b.RepoTags, b.ID)...))
	})
	return list, nil
}

func (i *img) matches(names []string, opts image.ListOptions) bool {
	args := opts.Filters
	if !args.MatchKVList("label", i.config.Config.Labels) {
		return false
	}
	if args.Contains("dangling") && !args.ExactMatch("dangling", strconv.FormatBool(len(names) == 0)) {
		return false
	}
	if !args.Contains("reference") {
		return true
	}
	for _, pattern := range args.Get("reference") {
		for _, name := range names {
			named, err := reference.ParseNormalizedNamed(name)
			if err != nil {
				continue
			}
			if ok, err := reference.FamiliarMatch(pattern, named); err == nil && ok {
				return true
			}
			if ok, err := reference.FamiliarMatch(pattern, reference.TrimNamed(named)); err == nil && ok {
				return true
			}
		}
	}
	return false
}

// ImageInspect implements engine.Images.
func (e *Engine) ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error) {
	var out image.InspectResponse
	err := e.lockedImage(ctx, "ImageInspect", ref, func(i *img) error {
		out = image.InspectResponse{
			ID: i.id, RepoTags: e.names(i), RepoDigests: []string{}, Created: stamp(i.config.Created), Author: i.config.Author,
			Comment: i.config.Comment, Architecture: i.config.Architecture, Os: i.config.OS, Size: i.size,
			RootFS: image.RootFS{Type: "layers", Layers: slices.Clone(i.config.RootFS.DiffIDs)}, Config: imageSpec(i.config.Config),
		}
		return nil
	})
	return out, err
}

// ImageHistory implements engine.Images.
func (e *Engine) ImageHistory(ctx context.Context, ref string) ([]image.HistoryResponseItem, error) {
	var list []image.HistoryResponseItem
	err := e.lockedImage(ctx, "ImageHistory", ref, func(i *img) error {
		for _, h := range slices.Backward(i.config.History) {
			list = append(list, image.HistoryResponseItem{ID: "<missing>", Created: h.Created.Unix(), CreatedBy: h.CreatedBy, Comment: h.Comment})
		}
		list[0].ID, list[0].Tags, list[0].Size = i.id, e.names(i), i.size
		return nil
	})
	return list, err
}

// ImageTag implements engine.Images.
func (e *Engine) ImageTag(ctx context.Context, source, target string) error {
	return e.lockedImage(ctx, "ImageTag", source, func(i *img) error {
		name, err := normalised(target)
		if err != nil {
			return err
		}
		e.tags[name] = i.id
		e.imageEvent(events.ActionTag, i.id, familiar(name))
		return nil
	})
}

// ImageRemove implements engine.Images.
func (e *Engine) ImageRemove(ctx context.Context, ref string, opts image.RemoveOptions) ([]image.DeleteResponse, error) {
	var removed []image.DeleteResponse
	err := e.lockedImage(ctx, "ImageRemove", ref, func(i *img) error {
		name, _ := normalised(ref)
		names := e.names(i)
		if e.tags[name] != i.id { // given by ID
			if len(names) > 1 && !opts.Force {
				return engine.Errorf(engine.ErrConflict, "cannot remove image %s: it has several names; use force", ref)
			}
			name = ""
		}
		last := name == "" || len(names) <= 1
		for _, c := range e.containers {
			if last && c.imageID == i.id && (c.run != nil || !opts.Force) {
				return engine.Errorf(engine.ErrConflict, "cannot remove image %s: container %s uses it", ref, c.name)
			}
		}
		for _, tag := range slices.Sorted(maps.Keys(e.tags)) {
			if e.tags[tag] == i.id && (tag == name || name == "") {
				delete(e.tags, tag)
				removed = append(removed, image.DeleteResponse{Untagged: familiar(tag)})
				e.imageEvent(events.ActionUnTag, i.id, familiar(tag))
			}
		}
		if last {
			delete(e.images, i.id)
			removed = append(removed, image.DeleteResponse{Deleted: i.id})
			e.imageEvent(events.ActionDelete, i.id, i.id)
		}
		return nil
	})
	return removed, err
}

// ImageImport implements engine.Images.
func (e *Engine) ImageImport(ctx context.Context, rootfs io.Reader, ref string, opts image.ImportOptions) (string, error) {
	if err := e.enter(ctx, "ImageImport", ref); err != nil {
		return "", err
	}
	files, err := untarred(rootfs)
	if err != nil {
		return "", err
	}
	i := newImage(files, container.Config{}, "import")
	i.config.Comment = opts.Message
	for _, change := range opts.Changes {
		if err := configure(i.config.Config, change); err != nil {
			return "", err
		}
	}
	err = e.add(i, ref, events.ActionImport)
	return i.id, err
}

// add seals an image and stores it.
func (e *Engine) add(i *img, ref string, action events.Action) error {
	name := ""
	if ref != "" {
		var err error
		if name, err = normalised(ref); err != nil {
			return err
		}
	}
	if err := i.seal(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep(i, name)
	e.imageEvent(action, i.id, familiar(name))
	return nil
}

func untarred(r io.Reader) (*memTree, error) {
	v := &vfs{mounts: []mountPoint{{at: "/", tree: newTree()}}}
	if err := v.unpack("/", r); err != nil {
		return nil, err
	}
	return v.mounts[0].tree.(*memTree), nil
}
