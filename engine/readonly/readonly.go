// Package readonly is an engine that changes nothing. It hands reads on to another engine and refuses every write, so
// that code which only looks, such as a plan, cannot change anything by mistake.
package readonly

import (
	"context"
	"io"
	"net"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// New returns an engine that reads from e. Every other operation is an error of kind engine.ErrForbidden that names it.
// Attaching and executing count as writes: what they run or type may change anything.
func New(e engine.Engine) engine.Engine { return reader{e} }

// reader takes the reads from the engine that it embeds. A write that is added to the contract must be added here; the
// test compares both lists.
type reader struct{ engine.Engine }

func refused(operation, object string) error {
	if object != "" {
		object = " " + object
	}
	return engine.Errorf(engine.ErrForbidden, "cannot %s%s: the engine is used read-only", operation, object)
}

func (reader) ContainerCreate(_ context.Context, name string, _ engine.CreateConfig) (container.CreateResponse, error) {
	return container.CreateResponse{}, refused("create container", name)
}

func (reader) ContainerStart(_ context.Context, ref string) error {
	return refused("start container", ref)
}

func (reader) ContainerStop(_ context.Context, ref string, _ container.StopOptions) error {
	return refused("stop container", ref)
}

func (reader) ContainerRestart(_ context.Context, ref string, _ container.StopOptions) error {
	return refused("restart container", ref)
}

func (reader) ContainerKill(_ context.Context, ref, _ string) error {
	return refused("kill container", ref)
}

func (reader) ContainerPause(_ context.Context, ref string) error {
	return refused("pause container", ref)
}

func (reader) ContainerUnpause(_ context.Context, ref string) error {
	return refused("unpause container", ref)
}

func (reader) ContainerRename(_ context.Context, ref, _ string) error {
	return refused("rename container", ref)
}

func (reader) ContainerRemove(_ context.Context, ref string, _ container.RemoveOptions) error {
	return refused("remove container", ref)
}

func (reader) ContainerAttach(_ context.Context, ref string, _ engine.AttachOptions) error {
	return refused("attach to container", ref)
}

func (reader) ContainerResize(_ context.Context, ref string, _ container.ResizeOptions) error {
	return refused("resize the terminal of container", ref)
}

func (reader) ContainerUpdate(_ context.Context, ref string, _ container.UpdateConfig) (container.UpdateResponse, error) {
	return container.UpdateResponse{}, refused("update container", ref)
}

func (reader) ExecCreate(_ context.Context, ref string, _ container.ExecOptions) (string, error) {
	return "", refused("execute in container", ref)
}

func (reader) ExecStart(_ context.Context, id string, _ bool, _ engine.AttachOptions) error {
	return refused("start exec", id)
}

func (reader) ExecResize(_ context.Context, id string, _ container.ResizeOptions) error {
	return refused("resize the terminal of exec", id)
}

func (reader) CopyTo(_ context.Context, ref, _ string, _ io.Reader, _ container.CopyToContainerOptions) error {
	return refused("copy files to container", ref)
}

func (reader) SyncFiles(_ context.Context, ref string, _ io.Reader, _ engine.SyncOptions) error {
	return refused("sync files to container", ref)
}

func (reader) ImagePull(_ context.Context, ref string, _ image.PullOptions, _ engine.Progress) error {
	return refused("pull image", ref)
}

func (reader) ImagePush(_ context.Context, ref string, _ image.PushOptions, _ engine.Progress) error {
	return refused("push image", ref)
}

func (reader) ImageLoad(context.Context, io.Reader, engine.Progress) ([]string, error) {
	return nil, refused("load images", "")
}

func (reader) ImageImport(_ context.Context, _ io.Reader, ref string, _ image.ImportOptions) (string, error) {
	return "", refused("import image", ref)
}

func (reader) ImageTag(_ context.Context, source, _ string) error {
	return refused("tag image", source)
}

func (reader) ImageRemove(_ context.Context, ref string, _ image.RemoveOptions) ([]image.DeleteResponse, error) {
	return nil, refused("remove image", ref)
}

func (reader) ImageBuild(context.Context, io.Reader, build.ImageBuildOptions, engine.Progress) (string, error) {
	return "", refused("build an image", "")
}

func (reader) BuildKit(context.Context) (net.Conn, error) {
	return nil, refused("open BuildKit", "")
}

func (reader) NetworkCreate(_ context.Context, name string, _ network.CreateOptions) (string, error) {
	return "", refused("create network", name)
}

func (reader) NetworkRemove(_ context.Context, ref string) error {
	return refused("remove network", ref)
}

func (reader) NetworkConnect(_ context.Context, ref, _ string, _ *network.EndpointSettings) error {
	return refused("connect to network", ref)
}

func (reader) NetworkDisconnect(_ context.Context, ref, _ string, _ bool) error {
	return refused("disconnect from network", ref)
}

func (reader) VolumeCreate(_ context.Context, opts volume.CreateOptions) (volume.Volume, error) {
	return volume.Volume{}, refused("create volume", opts.Name)
}

func (reader) VolumeRemove(_ context.Context, name string, _ bool) error {
	return refused("remove volume", name)
}
