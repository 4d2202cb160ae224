package dockerapi

import (
	"context"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/volume/service/opts"

	"stackrun.dev/stack/engine"
)

// anonymousVolume is the label of volumes that nobody named.
const anonymousVolume = "com.docker.volume.anonymous"

// volumeBackend adapts the contract to what Docker's volume router wants.
type volumeBackend struct{ engine engine.Engine }

func (b volumeBackend) List(ctx context.Context, filter filters.Args) ([]*volume.Volume, []string, error) {
	list, err := b.engine.VolumeList(ctx, volume.ListOptions{Filters: filter})
	if err != nil {
		return nil, nil, err
	}
	out := make([]*volume.Volume, 0, len(list))
	for i := range list {
		out = append(out, &list[i])
	}
	return out, nil, nil
}

func (b volumeBackend) Get(ctx context.Context, name string, _ ...opts.GetOption) (*volume.Volume, error) {
	v, err := b.engine.VolumeInspect(ctx, name)
	return &v, err
}

func (b volumeBackend) Create(ctx context.Context, name, driver string, options ...opts.CreateOption) (*volume.Volume, error) {
	var cfg opts.CreateConfig
	for _, option := range options {
		option(&cfg)
	}
	v, err := b.engine.VolumeCreate(ctx, volume.CreateOptions{Name: name, Driver: driver, DriverOpts: cfg.Options, Labels: cfg.Labels})
	return &v, err
}

func (b volumeBackend) Remove(ctx context.Context, name string, options ...opts.RemoveOption) error {
	var cfg opts.RemoveConfig
	for _, option := range options {
		option(&cfg)
	}
	return b.engine.VolumeRemove(ctx, name, cfg.PurgeOnError)
}

// Prune removes the volumes that no container uses: the engine refuses the others. Named ones only with the filter all.
func (b volumeBackend) Prune(ctx context.Context, args filters.Args) (*volume.PruneReport, error) {
	all, err := args.GetBoolOrDefault("all", false)
	if err != nil {
		return nil, engine.Errorf(engine.ErrInvalid, "cannot read the filter all: %w", err)
	}
	chosen, err := pruneFilter(args)
	if err != nil {
		return nil, err
	}
	list, err := b.engine.VolumeList(ctx, volume.ListOptions{})
	if err != nil {
		return nil, err
	}
	report := &volume.PruneReport{VolumesDeleted: []string{}}
	for _, v := range list {
		_, anonymous := v.Labels[anonymousVolume]
		created, _ := time.Parse(time.RFC3339, v.CreatedAt)
		if !all && !anonymous || !chosen(v.Labels, created) {
			continue
		}
		err := b.engine.VolumeRemove(ctx, v.Name, false)
		if err := ignore(err, engine.ErrNotFound, engine.ErrConflict); err != nil {
			return nil, err
		}
		if err == nil {
			report.VolumesDeleted = append(report.VolumesDeleted, v.Name)
		}
	}
	return report, nil
}

// noSwarm is the cluster that there is not.
type noSwarm struct{}

func (noSwarm) GetVolume(string) (volume.Volume, error) {
	return volume.Volume{}, unsupported("use a cluster's volumes")
}

func (noSwarm) GetVolumes(volume.ListOptions) ([]*volume.Volume, error) { return nil, nil }

func (noSwarm) CreateVolume(volume.CreateOptions) (*volume.Volume, error) {
	return nil, unsupported("create a cluster's volume")
}

func (noSwarm) RemoveVolume(string, bool) error { return unsupported("remove a cluster's volume") }

func (noSwarm) UpdateVolume(string, uint64, volume.UpdateOptions) error {
	return unsupported("update a cluster's volume")
}

func (noSwarm) IsManager() bool { return false }
