package execute

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute/imagebuild"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
)

// do makes the operation's call.
func (x *executor) do(ctx context.Context, op plan.Operation) error {
	switch op := op.(type) {
	case *plan.PullImage:
		return x.pull(ctx, op)
	case *plan.BuildImage:
		return x.build(ctx, op)
	case *plan.RemoveImage:
		_, err := x.engine.ImageRemove(ctx, op.Ref, image.RemoveOptions{PruneChildren: true})
		return unless(err, engine.ErrNotFound, engine.ErrConflict)
	case *plan.CreateNetwork, *plan.RemoveNetwork, *plan.ConnectNetwork, *plan.DisconnectNetwork, *plan.CreateVolume, *plan.RemoveVolume:
		return x.doResource(ctx, op)
	case *plan.RunProvider:
		return x.provide(ctx, op)
	case *plan.ServeModel:
		return x.serve(ctx, op)
	case *plan.RunHook:
		return x.runHook(ctx, op)
	case *plan.WaitHealthy:
		return x.waitHealthy(ctx, op)
	case *plan.WaitCompleted:
		return x.waitCompleted(ctx, op)
	case *plan.Gate:
		return x.gate(op)
	case *plan.MonitorContainer:
		return x.monitor(ctx, op)
	case *plan.Delay:
		return x.delay(ctx, op)
	default:
		return x.doContainer(ctx, op)
	}
}

func (x *executor) doResource(ctx context.Context, op plan.Operation) error {
	switch op := op.(type) {
	case *plan.CreateNetwork:
		_, err := x.engine.NetworkCreate(ctx, op.Name, op.Options)
		return err
	case *plan.RemoveNetwork:
		return unless(x.engine.NetworkRemove(ctx, op.Ref), engine.ErrNotFound)
	case *plan.ConnectNetwork:
		return x.engine.NetworkConnect(ctx, op.Network, op.Container, op.Settings)
	case *plan.DisconnectNetwork:
		return unless(x.engine.NetworkDisconnect(ctx, op.Network, op.Container, true), engine.ErrNotFound)
	case *plan.CreateVolume:
		_, err := x.engine.VolumeCreate(ctx, op.Options)
		return err
	case *plan.RemoveVolume:
		return unless(x.engine.VolumeRemove(ctx, op.Name, false), engine.ErrNotFound)
	}
	return unknown(op)
}

func (x *executor) doContainer(ctx context.Context, op plan.Operation) error {
	switch op := op.(type) {
	case *plan.CreateContainer:
		return x.create(ctx, op)
	case *plan.CopyFiles:
		return x.copyFiles(ctx, op)
	case *plan.RenameContainer:
		if x.hasTouched(op.Container) { // and not one of before, that somebody had renamed
			x.touched(&op.Header, op.Name)
		}
		return x.engine.ContainerRename(ctx, op.Container, op.Name)
	case *plan.UpdateContainer:
		return x.update(ctx, op)
	case *plan.StartContainer:
		x.touched(&op.Header, op.Subject.Name)
		return x.engine.ContainerStart(ctx, op.Container)
	case *plan.StopContainer:
		return unless(x.engine.ContainerStop(ctx, op.Container, container.StopOptions{Timeout: op.Timeout}), engine.ErrNotFound)
	case *plan.RestartContainer:
		x.touched(&op.Header, op.Subject.Name)
		return x.engine.ContainerRestart(ctx, op.Container, container.StopOptions{Timeout: op.Timeout})
	case *plan.KillContainer:
		return x.engine.ContainerKill(ctx, op.Container, op.Signal)
	case *plan.PauseContainer:
		return x.engine.ContainerPause(ctx, op.Container)
	case *plan.UnpauseContainer:
		return x.engine.ContainerUnpause(ctx, op.Container)
	case *plan.RemoveContainer:
		err := x.engine.ContainerRemove(ctx, op.Container, container.RemoveOptions{RemoveVolumes: op.Volumes, Force: op.Force})
		return unless(err, engine.ErrNotFound)
	}
	return unknown(op)
}

func unknown(op plan.Operation) error {
	return engine.Errorf(engine.ErrInternal, "cannot execute %s: unknown kind of operation", plan.KindOf(op))
}

// unless drops an error of one of the kinds: what was asked for is so already.
func unless(err error, kinds ...error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}

func (x *executor) progress(op plan.Operation) engine.Progress {
	return func(m jsonmessage.JSONMessage) {
		x.tell(Event{Operation: op, Phase: Progress, Progress: &m})
	}
}

// pull fetches the image and learns its ID.
func (x *executor) pull(ctx context.Context, op *plan.PullImage) error {
	opts := image.PullOptions{}
	if p := op.Platform; p != nil {
		opts.Platform = strings.Trim(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
	}
	if x.options.Auth != nil {
		opts.RegistryAuth = x.options.Auth(op.Ref)
	}
	if err := x.engine.ImagePull(ctx, op.Ref, opts, x.progress(op)); err != nil {
		return err
	}
	found, err := x.engine.ImageInspect(ctx, op.Ref)
	if err != nil {
		return err
	}
	x.fetched(op.Ref, found.ID)
	return nil
}

func (x *executor) build(ctx context.Context, op *plan.BuildImage) error {
	id, err := imagebuild.Build(ctx, x.engine, op.Build, imagebuild.Options{Context: x.options.BuildContext, Auth: x.options.Auth, Progress: x.progress(op)})
	if err != nil {
		return err
	}
	x.fetched(op.Ref, id)
	return nil
}

func (x *executor) create(ctx context.Context, op *plan.CreateContainer) error {
	x.touched(&op.Header, op.Name)
	made, err := x.engine.ContainerCreate(ctx, op.Name, x.configOf(op))
	for _, note := range made.Warnings {
		x.tell(Event{Operation: op, Phase: Noted, At: time.Now(), Note: note})
	}
	if err == nil {
		x.identify(op.Name, made.ID)
	}
	return err
}

// configOf is what the container is made of, now that its image is known.
func (x *executor) configOf(op *plan.CreateContainer) engine.CreateConfig {
	config := op.Sealed()
	if op.ImageFrom != "" {
		config = withImage(config, x.imageID(op.ImageFrom))
	}
	if op.References != nil {
		config = withLabel(config, desired.LabelConfigHash, op.References.Hash(func(service string) string { return x.idOf(op.Referred[service]) }))
	}
	return config
}

// copyFiles sends the files as one tar that is unpacked at the root.
func (x *executor) copyFiles(ctx context.Context, op *plan.CopyFiles) error {
	archive, err := tarOf(op.Files)
	if err != nil {
		return fmt.Errorf("cannot pack the files for container %s: %w", op.Container, err)
	}
	return x.engine.CopyTo(ctx, op.Container, "/", archive, container.CopyToContainerOptions{}) // with the owners that the files have
}

func tarOf(files []desired.File) (*bytes.Buffer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	made := make(map[string]bool)
	for _, f := range files {
		if err := parents(w, path.Dir(f.Path), made); err != nil {
			return nil, err
		}
		h := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Size: int64(len(f.Content)), Mode: f.Mode, Uid: f.UID, Gid: f.GID}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}

// parents adds the directory and those above it. Only below /run, which images leave empty: elsewhere a directory that is
// there would lose its owner and mode.
func parents(w *tar.Writer, dir string, made map[string]bool) error {
	if dir == "/" || dir == "/run" || made[dir] || !strings.HasPrefix(dir, "/run/") {
		return nil
	}
	if err := parents(w, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755})
}
