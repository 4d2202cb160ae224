// Package observe reads what an engine has of a project into plain values, in a few calls side by side.
package observe

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/state"
	"stackrun.dev/stack/engine"
)

// Engine is what observing needs of an engine: reads only.
type Engine interface {
	ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error)
	ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error)
	NetworkInspect(ctx context.Context, ref string, opts network.InspectOptions) (network.Inspect, error)
	NetworkList(ctx context.Context, opts network.ListOptions) ([]network.Summary, error)
	VolumeList(ctx context.Context, opts volume.ListOptions) ([]volume.Volume, error)
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
	ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error)
}

// atOnce bounds how many images, and how many containers, are looked up side by side.
const atOnce = 16

// Project reads what there is of a project, and looks at each container for what can be changed while it runs. A plan that makes
// the project as desired is made of it.
func Project(ctx context.Context, e Engine, name string, d *desired.Project) (*state.Project, error) {
	return project(ctx, e, name, d, true)
}

// Listed is Project without the look at each container: what the engine's lists tell. It is enough for a plan that changes what
// containers do and not what they are. d may be nil when only what carries the project's label counts.
func Listed(ctx context.Context, e Engine, name string, d *desired.Project) (*state.Project, error) {
	return project(ctx, e, name, d, false)
}

func project(ctx context.Context, e Engine, name string, d *desired.Project, closely bool) (*state.Project, error) {
	o := &observer{ctx: ctx, engine: e, closely: closely, out: &state.Project{
		Name:     name,
		Networks: make(map[string]state.Network),
		Volumes:  make(map[string]state.Volume),
		Images:   make(map[string]state.Image),
	}}
	if d == nil {
		d = &desired.Project{Name: name}
	}
	o.run(o.containers)
	o.run(func() error { return o.networks(d) })
	o.run(func() error { return o.volumes(d) })
	o.images(d)
	o.wait.Wait()
	return o.out, o.err
}

type observer struct {
	ctx     context.Context //nolint:containedctx // lives as long as one call of Project
	engine  Engine
	closely bool
	wait    sync.WaitGroup

	mu  sync.Mutex // what follows
	out *state.Project
	err error
}

func (o *observer) run(f func() error) {
	o.wait.Go(func() {
		if err := f(); err != nil {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.err = errors.Join(o.err, err)
		}
	})
}

func (o *observer) label() filters.KeyValuePair {
	return filters.Arg("label", desired.LabelProject+"="+o.out.Name)
}

func (o *observer) containers() error {
	list, err := o.engine.ContainerList(o.ctx, container.ListOptions{All: true, Filters: filters.NewArgs(o.label())})
	if err != nil {
		return err
	}
	out := make([]state.Container, len(list))
	for i := range list {
		out[i] = containerOf(&list[i])
	}
	if o.closely {
		for i := range list {
			listedDetails(&out[i], &list[i])
		}
		if out, err = o.details(out); err != nil {
			return err
		}
	}
	slices.SortFunc(out, byServiceAndNumber)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.Containers = out
	return nil
}

// networks lists all there are, which is a small number, so that external ones and names taken by others are seen too.
func (o *observer) networks(d *desired.Project) error {
	list, err := o.engine.NetworkList(o.ctx, network.ListOptions{})
	if err != nil {
		return err
	}
	wanted := make(map[string]*desired.Network, len(d.Networks))
	for i := range d.Networks {
		wanted[d.Networks[i].Name] = &d.Networks[i]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range list {
		want := wanted[n.Name]
		if want != nil && !want.External && want.Hash != n.Labels[desired.LabelHash] && o.closely {
			o.run(func() error { return o.users(n.Name, n.ID) })
		}
		if want != nil || n.Labels[desired.LabelProject] == o.out.Name {
			o.out.Networks[n.Name] = state.Network{
				ID: n.ID, Name: n.Name, Project: n.Labels[desired.LabelProject], Key: n.Labels[desired.LabelNetwork],
				Hash: n.Labels[desired.LabelHash], Config: n.Labels[desired.LabelConfig], ComposeHash: n.Labels[desired.LabelConfigHash],
			}
		}
	}
	return nil
}

// volumes lists the project's and asks for those that have a wanted name without its label.
func (o *observer) volumes(d *desired.Project) error {
	list, err := o.engine.VolumeList(o.ctx, volume.ListOptions{Filters: filters.NewArgs(o.label())})
	if err != nil {
		return err
	}
	found := make(map[string]bool, len(list))
	for _, v := range list {
		found[v.Name] = true
		o.volume(v)
	}
	for _, v := range d.Volumes {
		if found[v.Name] {
			if err := o.volumeUsers(&v); err != nil {
				return err
			}
			continue
		}
		other, err := o.engine.VolumeInspect(o.ctx, v.Name)
		if errors.Is(err, engine.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		o.volume(other)
	}
	return nil
}

func (o *observer) volume(v volume.Volume) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.Volumes[v.Name] = state.Volume{
		Name: v.Name, Project: v.Labels[desired.LabelProject], Key: v.Labels[desired.LabelVolume],
		Hash: v.Labels[desired.LabelHash], Config: v.Labels[desired.LabelConfig], ComposeHash: v.Labels[desired.LabelConfigHash],
	}
}

// images looks up each image that the project uses, once.
func (o *observer) images(d *desired.Project) {
	slots := make(chan struct{}, atOnce)
	seen := make(map[string]bool)
	for ref := range d.Images() {
		if !seen[ref] {
			seen[ref] = true
			o.run(func() error {
				slots <- struct{}{}
				defer func() { <-slots }()
				return o.image(ref)
			})
		}
	}
}

func (o *observer) image(ref string) error {
	found, err := o.engine.ImageInspect(o.ctx, ref)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.out.Images[ref] = state.Image{ID: found.ID, Tagged: found.Metadata.LastTagTime}
	return nil
}
