// Package readonly is a decorator for an engine: reads pass, writes fail. It is what planning and dry runs go through, so that
// they cannot change anything even by mistake.
package readonly

import (
	"context"
	"io"
	"iter"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// reads is what passes. A method that the contract gains is in neither list, and this package does not compile until somebody has
// decided which it is.
type reads interface {
	Version(ctx context.Context) (types.Version, error)
	Info(ctx context.Context) (system.Info, error)
	Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error)
	ImageList(ctx context.Context, opts image.ListOptions) ([]image.Summary, error)
	ImageInspect(ctx context.Context, ref string) (image.InspectResponse, error)
	ImageHistory(ctx context.Context, ref string) ([]image.HistoryResponseItem, error)
	ImageSave(ctx context.Context, refs []string) (io.ReadCloser, error)
	NetworkList(ctx context.Context, opts network.ListOptions) ([]network.Summary, error)
	NetworkInspect(ctx context.Context, ref string, opts network.InspectOptions) (network.Inspect, error)
	VolumeList(ctx context.Context, opts volume.ListOptions) ([]volume.Volume, error)
	VolumeInspect(ctx context.Context, name string) (volume.Volume, error)
	ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error)
	ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error)
	ContainerWait(ctx context.Context, ref string, cond container.WaitCondition) (<-chan container.WaitResponse, <-chan error)
	ContainerLogs(ctx context.Context, ref string, opts container.LogsOptions) iter.Seq2[engine.LogEntry, error]
	ContainerTop(ctx context.Context, ref string, psArgs []string) (container.TopResponse, error)
	ContainerStats(ctx context.Context, ref string) (container.StatsResponse, error)
	ExecInspect(ctx context.Context, id string) (container.ExecInspect, error)
	StatPath(ctx context.Context, ref, path string) (container.PathStat, error)
	CopyFrom(ctx context.Context, ref, path string) (io.ReadCloser, container.PathStat, error)
}

// Engine lets reads through to another engine and refuses everything else with engine.ErrForbidden.
type Engine struct{ reads }

var _ engine.Engine = Engine{}

// New protects e.
func New(e engine.Engine) Engine { return Engine{e} }

// refuse names the operation in Docker's words: "cannot create a container".
func refuse(what string) error {
	return engine.Errorf(engine.ErrForbidden, "cannot %s: the engine may only be read here", what)
}

func (Engine) ImagePull(context.Context, string, image.PullOptions, engine.Progress) error {
	return refuse("pull an image")
}

func (Engine) ImagePush(context.Context, string, image.PushOptions, engine.Progress) error {
	return refuse("push an image")
}

func (Engine) ImageLoad(context.Context, io.Reader, engine.Progress) ([]string, error) {
	return nil, refuse("load images")
}

func (Engine) ImageImport(context.Context, io.Reader, string, image.ImportOptions) (string, error) {
	return "", refuse("import an image")
}

func (Engine) ImageTag(context.Context, string, string) error {
	return refuse("tag an image")
}

func (Engine) ImageRemove(context.Context, string, image.RemoveOptions) ([]image.DeleteResponse, error) {
	return nil, refuse("remove an image")
}

func (Engine) ImageBuild(context.Context, io.Reader, build.ImageBuildOptions, engine.Progress) (string, error) {
	return "", refuse("build an image")
}

func (Engine) NetworkCreate(context.Context, string, network.CreateOptions) (string, error) {
	return "", refuse("create a network")
}

func (Engine) NetworkRemove(context.Context, string) error {
	return refuse("remove a network")
}

func (Engine) NetworkConnect(context.Context, string, string, *network.EndpointSettings) error {
	return refuse("connect a container to a network")
}

func (Engine) NetworkDisconnect(context.Context, string, string, bool) error {
	return refuse("disconnect a container from a network")
}

func (Engine) VolumeCreate(context.Context, volume.CreateOptions) (volume.Volume, error) {
	return volume.Volume{}, refuse("create a volume")
}

func (Engine) VolumeRemove(context.Context, string, bool) error {
	return refuse("remove a volume")
}

func (Engine) ContainerCreate(context.Context, string, engine.CreateConfig) (container.CreateResponse, error) {
	return container.CreateResponse{}, refuse("create a container")
}

func (Engine) ContainerStart(context.Context, string) error {
	return refuse("start a container")
}

func (Engine) ContainerStop(context.Context, string, container.StopOptions) error {
	return refuse("stop a container")
}

func (Engine) ContainerRestart(context.Context, string, container.StopOptions) error {
	return refuse("restart a container")
}

func (Engine) ContainerKill(context.Context, string, string) error {
	return refuse("kill a container")
}

func (Engine) ContainerPause(context.Context, string) error {
	return refuse("pause a container")
}

func (Engine) ContainerUnpause(context.Context, string) error {
	return refuse("unpause a container")
}

func (Engine) ContainerRename(context.Context, string, string) error {
	return refuse("rename a container")
}

func (Engine) ContainerRemove(context.Context, string, container.RemoveOptions) error {
	return refuse("remove a container")
}

func (Engine) ContainerAttach(context.Context, string, engine.AttachOptions) error {
	return refuse("attach to a container")
}

func (Engine) ContainerResize(context.Context, string, container.ResizeOptions) error {
	return refuse("resize a container's terminal")
}

func (Engine) ContainerUpdate(context.Context, string, container.UpdateConfig) (container.UpdateResponse, error) {
	return container.UpdateResponse{}, refuse("update a container")
}

func (Engine) ExecCreate(context.Context, string, container.ExecOptions) (string, error) {
	return "", refuse("create an exec")
}

func (Engine) ExecStart(context.Context, string, bool, engine.AttachOptions) error {
	return refuse("start an exec")
}

func (Engine) ExecResize(context.Context, string, container.ResizeOptions) error {
	return refuse("resize an exec's terminal")
}

func (Engine) CopyTo(context.Context, string, string, io.Reader, container.CopyToContainerOptions) error {
	return refuse("copy into a container")
}
