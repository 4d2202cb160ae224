package sim

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

func (f *fake) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (string, error) {
	if err := f.write(ctx, "create network %s", name); err != nil {
		return "", err
	}
	defer f.mu.Unlock()
	if f.networks[name] != nil {
		return "", engine.Errorf(engine.ErrConflict, "network %s is there", name)
	}
	n := &network.Inspect{Name: name, ID: f.id(), Labels: o.Labels}
	if o.IPAM != nil {
		n.IPAM = *o.IPAM
	}
	f.networks[name] = n
	return n.ID, nil
}

func (f *fake) NetworkList(context.Context, network.ListOptions) ([]network.Summary, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []network.Summary
	for _, n := range f.networks {
		out = append(out, *n)
	}
	return out, nil
}

func (f *fake) network(ref string) (*network.Inspect, error) {
	for _, n := range f.networks {
		if n.Name == ref || n.ID == ref {
			return n, nil
		}
	}
	return nil, engine.Errorf(engine.ErrNotFound, "no such network: %s", ref)
}

func (f *fake) NetworkRemove(ctx context.Context, ref string) error {
	if err := f.write(ctx, "remove network %s", ref); err != nil {
		return err
	}
	defer f.mu.Unlock()
	n, err := f.network(ref)
	if err != nil {
		return err
	}
	for _, r := range f.containers {
		if r.networks[n.Name] {
			return engine.Errorf(engine.ErrConflict, "network %s has %s on it", n.Name, r.name)
		}
	}
	delete(f.networks, n.Name)
	return nil
}

func (f *fake) NetworkConnect(ctx context.Context, ref, c string, e *network.EndpointSettings) error {
	return f.attach(ctx, "connect", ref, c, e)
}

func (f *fake) NetworkDisconnect(ctx context.Context, ref, c string, _ bool) error {
	return f.attach(ctx, "disconnect", ref, c, nil)
}

func (f *fake) attach(ctx context.Context, verb, ref, c string, e *network.EndpointSettings) error {
	if err := f.write(ctx, "%s %s %s", verb, ref, f.nameOf(c)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	n, err := f.network(ref)
	if err != nil {
		return err
	}
	r, err := f.find(c)
	if err != nil {
		return err
	}
	if e != nil {
		r.networks[n.Name], r.endpoints[n.Name] = true, e
	} else {
		delete(r.networks, n.Name)
	}
	return nil
}

func (f *fake) VolumeCreate(ctx context.Context, o volume.CreateOptions) (volume.Volume, error) {
	if err := f.write(ctx, "create volume %s", o.Name); err != nil {
		return volume.Volume{}, err
	}
	defer f.mu.Unlock()
	v := &volume.Volume{Name: o.Name, Labels: o.Labels}
	f.volumes[o.Name] = v
	return *v, nil
}

func (f *fake) VolumeList(_ context.Context, o volume.ListOptions) ([]volume.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []volume.Volume
	for _, v := range f.volumes {
		if matches(o.Filters, v.Labels) {
			out = append(out, *v)
		}
	}
	return out, nil
}

func (f *fake) VolumeInspect(_ context.Context, name string) (volume.Volume, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v := f.volumes[name]; v != nil {
		return *v, nil
	}
	return volume.Volume{}, engine.Errorf(engine.ErrNotFound, "no such volume: %s", name)
}

func (f *fake) VolumeRemove(ctx context.Context, name string, _ bool) error {
	if err := f.write(ctx, "remove volume %s", name); err != nil {
		return err
	}
	defer f.mu.Unlock()
	for _, r := range f.containers {
		if r.has(filters.NewArgs(filters.Arg("volume", name))) {
			return engine.Errorf(engine.ErrConflict, "volume %s is used by %s", name, r.name)
		}
	}
	delete(f.volumes, name)
	return nil
}

func (f *fake) ImageInspect(_ context.Context, ref string) (image.InspectResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id, ok := f.images[ref]; ok {
		return image.InspectResponse{ID: id, Metadata: image.Metadata{LastTagTime: f.tagged[ref]}}, nil
	}
	return image.InspectResponse{}, engine.Errorf(engine.ErrNotFound, "no such image: %s", ref)
}

func (f *fake) ImagePull(ctx context.Context, ref string, _ image.PullOptions, _ engine.Progress) error {
	if err := f.write(ctx, "pull %s", ref); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if strings.Contains(ref, "missing") {
		return engine.Errorf(engine.ErrNotFound, "no such image: %s", ref)
	}
	if f.images[ref] == "" {
		f.images[ref] = "sha256:" + f.id()
	}
	return nil
}

func (f *fake) BuildKit(context.Context) (net.Conn, error) {
	return nil, engine.Errorf(engine.ErrUnsupported, "there is no BuildKit")
}

func (f *fake) ImageBuild(ctx context.Context, c io.Reader, o build.ImageBuildOptions, _ engine.Progress) (string, error) {
	if err := f.write(ctx, "build %s", o.Tags[0]); err != nil {
		return "", err
	}
	defer f.mu.Unlock()
	if _, err := io.Copy(io.Discard, c); err != nil {
		return "", err
	}
	id := "sha256:" + f.id()
	f.images[o.Tags[0]] = id
	return id, nil
}

func (f *fake) ImageRemove(ctx context.Context, ref string, _ image.RemoveOptions) ([]image.DeleteResponse, error) {
	if err := f.write(ctx, "remove image %s", ref); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	delete(f.images, ref)
	return nil, nil
}

// ExecCreate stores what to run; its ID names the container and the command.
func (f *fake) ExecCreate(ctx context.Context, ref string, o container.ExecOptions) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := f.find(ref)
	if err != nil {
		return "", err
	}
	if r.status != container.StateRunning {
		return "", engine.Errorf(engine.ErrConflict, "container %s does not run", r.name)
	}
	return r.name + " " + strings.Join(o.Cmd, " "), ctx.Err()
}

func (f *fake) ExecStart(ctx context.Context, id string, _ bool, o engine.AttachOptions) error {
	if err := f.write(ctx, "exec in %s", id); err != nil {
		return err
	}
	defer f.mu.Unlock()
	_, err := io.WriteString(o.Stdout, "output of "+id+"\n")
	return err
}

// ContainerWait knows containers that do not run, and has no patience for others.
func (f *fake) ContainerWait(_ context.Context, ref string, _ container.WaitCondition) (<-chan container.WaitResponse, <-chan error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ended, errs := make(chan container.WaitResponse, 1), make(chan error, 1)
	switch r, err := f.find(ref); {
	case err != nil:
		errs <- err
	case r.status == container.StateExited:
		ended <- container.WaitResponse{StatusCode: int64(r.exit)}
	default:
		errs <- context.DeadlineExceeded
	}
	return ended, errs
}

// ExecInspect says that what is called "fail" has failed.
func (f *fake) ExecInspect(_ context.Context, id string) (container.ExecInspect, error) {
	_, command, _ := strings.Cut(id, " ")
	return container.ExecInspect{ExitCode: failing([]string{command})}, nil
}
