package build

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/worker/base"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
)

// mobyExporter is how Docker's clients call the engine's own image store.
const mobyExporter = "moby"

// exportingWorker is BuildKit's worker with an exporter into the engine's image store.
type exportingWorker struct {
	*base.Worker
	kit *kit
}

// Exporter implements worker.Worker.
func (w exportingWorker) Exporter(name string, sessions *session.Manager) (exporter.Exporter, error) {
	if name == mobyExporter || name == client.ExporterImage {
		return storeExporter{kit: w.kit, name: name}, nil
	}
	return w.Worker.Exporter(name, sessions)
}

// storeExporter makes images in the engine's store.
type storeExporter struct {
	kit  *kit
	name string // that it was asked for by
}

// Resolve implements exporter.Exporter. A wrong name is refused before anything is built.
func (e storeExporter) Resolve(_ context.Context, id int, attrs map[string]string) (exporter.ExporterInstance, error) {
	instance := &storeExport{kit: e.kit, id: id, attrs: attrs}
	for _, name := range strings.Split(attrs[string(exptypes.OptKeyName)], ",") {
		if name == "" {
			continue
		}
		if err := image.CheckName(name); err != nil {
			return nil, err
		}
		instance.tags = append(instance.tags, name)
	}
	// Who asks for "moby" pushes by another call when the image is built, and says so here too.
	if push, _ := strconv.ParseBool(attrs[string(exptypes.OptKeyPush)]); push && e.name != mobyExporter {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot push while building; push the image when it is built")
	}
	return instance, nil
}

// storeExport is one build's export.
type storeExport struct {
	kit   *kit
	id    int
	attrs map[string]string
	tags  []string
}

func (e *storeExport) ID() int                  { return e.id }
func (e *storeExport) Name() string             { return "exporting to image" }
func (e *storeExport) Type() string             { return client.ExporterImage }
func (e *storeExport) Attrs() map[string]string { return e.attrs }
func (e *storeExport) Config() *exporter.Config { return exporter.NewConfig() }

// Export implements exporter.ExporterInstance.
func (e *storeExport) Export(ctx context.Context, src *exporter.Source, info exporter.ExportBuildInfo) (map[string]string, exporter.FinalizeFunc, exporter.DescriptorReference, error) {
	one, err := onePlatform(src)
	if err != nil {
		return nil, nil, nil, err
	}
	id, err := e.kit.exportSource(ctx, session.NewGroup(info.SessionID), one, info, e.tags)
	if err != nil {
		return nil, nil, nil, err
	}
	return map[string]string{
		exptypes.ExporterImageConfigDigestKey: id,
		exptypes.ExporterImageDigestKey:       id,
		"image.name":                          strings.Join(e.tags, ","),
	}, nil, nil, nil
}

// onePlatform is the result as it is when it was asked for without a platform. Attestations belong to an image's index,
// which this store does not keep.
func onePlatform(src *exporter.Source) (*exporter.Source, error) {
	one := &exporter.Source{Ref: src.Ref, Metadata: maps.Clone(src.Metadata)}
	if len(src.Refs) == 0 {
		return one, nil
	}
	if len(src.Refs) > 1 {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot keep an image of several platforms: choose one of %s", strings.Join(slices.Sorted(maps.Keys(src.Refs)), ", "))
	}
	for platform, ref := range src.Refs {
		one.Ref = ref
		for key, value := range src.Metadata {
			if plain, ok := strings.CutSuffix(key, "/"+platform); ok {
				one.Metadata[plain] = value
			}
		}
	}
	delete(one.Metadata, exptypes.ExporterPlatformsKey)
	return one, nil
}
