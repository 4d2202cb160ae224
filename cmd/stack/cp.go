package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/moby/go-archive"
	"github.com/spf13/cobra"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/engine"
)

type cpOptions struct {
	all, ownership, followLink bool
	index                      int
}

func newCp(a *app) *cobra.Command {
	var o cpOptions
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n  stack cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
		Short: "Copy files between containers and this machine; - is a tar on standard input or output",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCp(cmd.Context(), a, o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "Copy to all containers of the service, those of run included")
	f.BoolVarP(&o.ownership, "archive", "a", false, "Keep owners and groups")
	f.BoolVarP(&o.followLink, "follow-link", "L", false, "Copy what SRC_PATH links to")
	f.IntVar(&o.index, "index", 0, "The container of this number, if the service has several")
	return a.notDry(cmd)
}

func runCp(ctx context.Context, a *app, o cpOptions, source, target string) error {
	from, fromPath := splitCopyArg(source)
	to, toPath := splitCopyArg(target)
	if (from == "") == (to == "") {
		return usagef("exactly one of %q and %q must be of the form SERVICE:PATH", source, target)
	}
	sc, err := a.scope(ctx)
	if err != nil {
		return err
	}
	return a.with(ctx, func(s *session) error {
		if from != "" {
			m, err := s.copyPartner(ctx, sc, from, o.index)
			if err != nil {
				return err
			}
			return s.copyFrom(ctx, m, fromPath, toPath, o)
		}
		targets, err := s.copyTargets(ctx, sc, to, o)
		if err != nil {
			return err
		}
		for _, m := range targets {
			if err := s.copyTo(ctx, m, fromPath, toPath, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// splitCopyArg takes SERVICE:PATH apart; what begins like a path has no service.
func splitCopyArg(arg string) (service, path string) {
	if strings.HasPrefix(arg, ".") || filepath.IsAbs(arg) {
		return "", arg
	}
	service, path, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(service, "/") {
		return "", arg
	}
	return service, path
}

func (s *session) copyTargets(ctx context.Context, sc scope, service string, o cpOptions) ([]member, error) {
	if !o.all {
		m, err := s.copyPartner(ctx, sc, service, o.index)
		return []member{m}, err
	}
	return s.members(ctx, sc, which{services: []string{service}, stopped: true, oneOff: true, index: o.index})
}

// copyPartner is the container of a service to copy from or to, which need not run.
func (s *session) copyPartner(ctx context.Context, sc scope, service string, index int) (member, error) {
	running, err := s.one(ctx, sc, service, index)
	if !errors.Is(err, engine.ErrNotFound) {
		return running, err
	}
	all, failed := s.members(ctx, sc, which{services: []string{service}, stopped: true, index: index})
	if failed != nil {
		return member{}, failed
	}
	if len(all) == 0 {
		return member{}, engine.Errorf(engine.ErrNotFound, "service %q has no container", service)
	}
	return all[0], nil
}

func (s *session) copyFrom(ctx context.Context, m member, source, target string, o cpOptions) (err error) {
	if o.followLink {
		if stat, err := s.StatPath(ctx, m.ID, source); err == nil && stat.LinkTarget != "" {
			source = absoluteIn(path.Dir(source), stat.LinkTarget)
		}
	}
	content, stat, err := s.CopyFrom(ctx, m.ID, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	if target == "-" {
		if view.IsTerminal(s.out) {
			return usagef("the tar is to go to standard output, which is a terminal")
		}
		_, err := io.Copy(s.out, content)
		return err
	}
	info := archive.CopyInfo{Path: source, Exists: true, IsDir: stat.Mode.IsDir()}
	if err := archive.CopyTo(content, info, target); err != nil {
		return fmt.Errorf("cannot copy %s:%s to %s: %w", m.service, source, target, err)
	}
	return nil
}

// absoluteIn resolves a link's target as seen from the directory of the link.
func absoluteIn(dir, target string) string {
	if path.IsAbs(target) {
		return target
	}
	return path.Join("/", dir, target)
}

func (s *session) copyTo(ctx context.Context, m member, source, target string, o cpOptions) (err error) {
	opts := container.CopyToContainerOptions{CopyUIDGID: o.ownership}
	if source == "-" {
		return s.CopyTo(ctx, m.ID, target, s.in, opts)
	}
	from, err := archive.CopyInfoSourcePath(source, o.followLink)
	if err != nil {
		return err
	}
	tar, err := archive.TarResource(from)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", source, err)
	}
	defer func() { err = errors.Join(err, tar.Close()) }()
	dir, content, err := archive.PrepareArchiveCopy(tar, from, s.copyDestination(ctx, m, target))
	if err != nil {
		return fmt.Errorf("cannot copy %s to %s:%s: %w", source, m.service, target, err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	return s.CopyTo(ctx, m.ID, dir, content, opts)
}

// copyDestination describes the path in the container, which may be a link to another one and need not exist.
func (s *session) copyDestination(ctx context.Context, m member, target string) archive.CopyInfo {
	info := archive.CopyInfo{Path: target}
	stat, err := s.StatPath(ctx, m.ID, target)
	if err == nil && stat.LinkTarget != "" {
		info.Path = absoluteIn(path.Dir(target), stat.LinkTarget)
		stat, err = s.StatPath(ctx, m.ID, info.Path)
	}
	if err == nil {
		info.Exists, info.IsDir = true, stat.Mode.IsDir()
	}
	return info
}
