package sim

import (
	"context"
	"io"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// faulty is an engine between which and the caller something goes wrong. The names of calls are those of the contract.
type faulty struct {
	engine.Engine

	// before is asked before a call reaches the engine: an error is the caller's, and the engine hears nothing. May be nil.
	before func(ctx context.Context, call, ref string) error
	// after is asked when the engine has carried the call out: an error is the caller's all the same. May be nil.
	after func(call, ref string) error
}

// through makes a call that answers with a value.
func through[T any](ctx context.Context, f *faulty, call, ref string, do func() (T, error)) (T, error) {
	var none T
	if f.before != nil {
		if err := f.before(ctx, call, ref); err != nil {
			return none, err
		}
	}
	out, err := do()
	if err == nil && f.after != nil {
		if err := f.after(call, ref); err != nil {
			return none, err
		}
	}
	return out, err
}

// carry makes a call that answers with nothing.
func (f *faulty) carry(ctx context.Context, call, ref string, do func() error) error {
	_, err := through(ctx, f, call, ref, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (f *faulty) ContainerCreate(ctx context.Context, name string, cfg engine.CreateConfig) (container.CreateResponse, error) {
	return through(ctx, f, "ContainerCreate", name, func() (container.CreateResponse, error) { return f.Engine.ContainerCreate(ctx, name, cfg) })
}

func (f *faulty) ContainerStart(ctx context.Context, ref string) error {
	return f.carry(ctx, "ContainerStart", ref, func() error { return f.Engine.ContainerStart(ctx, ref) })
}

func (f *faulty) ContainerStop(ctx context.Context, ref string, o container.StopOptions) error {
	return f.carry(ctx, "ContainerStop", ref, func() error { return f.Engine.ContainerStop(ctx, ref, o) })
}

func (f *faulty) ContainerRestart(ctx context.Context, ref string, o container.StopOptions) error {
	return f.carry(ctx, "ContainerRestart", ref, func() error { return f.Engine.ContainerRestart(ctx, ref, o) })
}

func (f *faulty) ContainerRename(ctx context.Context, ref, name string) error {
	return f.carry(ctx, "ContainerRename", ref, func() error { return f.Engine.ContainerRename(ctx, ref, name) })
}

func (f *faulty) ContainerRemove(ctx context.Context, ref string, o container.RemoveOptions) error {
	return f.carry(ctx, "ContainerRemove", ref, func() error { return f.Engine.ContainerRemove(ctx, ref, o) })
}

func (f *faulty) ContainerUnpause(ctx context.Context, ref string) error {
	return f.carry(ctx, "ContainerUnpause", ref, func() error { return f.Engine.ContainerUnpause(ctx, ref) })
}

func (f *faulty) ContainerUpdate(ctx context.Context, ref string, cfg container.UpdateConfig) (container.UpdateResponse, error) {
	return through(ctx, f, "ContainerUpdate", ref, func() (container.UpdateResponse, error) { return f.Engine.ContainerUpdate(ctx, ref, cfg) })
}

func (f *faulty) ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	return through(ctx, f, "ContainerInspect", ref, func() (container.InspectResponse, error) { return f.Engine.ContainerInspect(ctx, ref) })
}

func (f *faulty) ContainerList(ctx context.Context, o container.ListOptions) ([]container.Summary, error) {
	return through(ctx, f, "ContainerList", "", func() ([]container.Summary, error) { return f.Engine.ContainerList(ctx, o) })
}

func (f *faulty) NetworkCreate(ctx context.Context, name string, o network.CreateOptions) (string, error) {
	return through(ctx, f, "NetworkCreate", name, func() (string, error) { return f.Engine.NetworkCreate(ctx, name, o) })
}

func (f *faulty) NetworkRemove(ctx context.Context, ref string) error {
	return f.carry(ctx, "NetworkRemove", ref, func() error { return f.Engine.NetworkRemove(ctx, ref) })
}

func (f *faulty) NetworkConnect(ctx context.Context, ref, member string, s *network.EndpointSettings) error {
	return f.carry(ctx, "NetworkConnect", ref, func() error { return f.Engine.NetworkConnect(ctx, ref, member, s) })
}

func (f *faulty) NetworkDisconnect(ctx context.Context, ref, member string, force bool) error {
	return f.carry(ctx, "NetworkDisconnect", ref, func() error { return f.Engine.NetworkDisconnect(ctx, ref, member, force) })
}

func (f *faulty) VolumeCreate(ctx context.Context, o volume.CreateOptions) (volume.Volume, error) {
	return through(ctx, f, "VolumeCreate", o.Name, func() (volume.Volume, error) { return f.Engine.VolumeCreate(ctx, o) })
}

func (f *faulty) ImagePull(ctx context.Context, ref string, o image.PullOptions, p engine.Progress) error {
	return f.carry(ctx, "ImagePull", ref, func() error { return f.Engine.ImagePull(ctx, ref, o, p) })
}

func (f *faulty) ExecCreate(ctx context.Context, ref string, o container.ExecOptions) (string, error) {
	return through(ctx, f, "ExecCreate", ref, func() (string, error) { return f.Engine.ExecCreate(ctx, ref, o) })
}

func (f *faulty) ExecStart(ctx context.Context, id string, detach bool, o engine.AttachOptions) error {
	return f.carry(ctx, "ExecStart", id, func() error { return f.Engine.ExecStart(ctx, id, detach, o) })
}

func (f *faulty) CopyTo(ctx context.Context, ref, name string, content io.Reader, o container.CopyToContainerOptions) error {
	return f.carry(ctx, "CopyTo", ref, func() error { return f.Engine.CopyTo(ctx, ref, name, content, o) })
}
