package main

import (
	"context"
	"fmt"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

// pin returns the project with the digest in each image's name that its registry knows it by. The engine asks.
func (a *app) pin(ctx context.Context, p *project.Project) (*project.Project, error) {
	out := *p
	err := a.with(ctx, func(s *session) (err error) {
		out.Project, err = p.WithImagesResolved(func(name reference.Named) (digest.Digest, error) {
			return digestOf(ctx, s, name)
		})
		return err
	})
	return &out, err
}

func digestOf(ctx context.Context, registries engine.Registries, name reference.Named) (digest.Digest, error) {
	auth, err := registryAuth(name.String())
	if err != nil {
		return "", err
	}
	d, err := registries.DistributionInspect(ctx, name.String(), auth)
	if err != nil {
		return "", fmt.Errorf("cannot find the digest of %s: %w", reference.FamiliarString(name), err)
	}
	return d.Descriptor.Digest, nil
}

// imagesOnly is what an override file needs that fixes the images: their names, and volumes that are images.
func imagesOnly(p *project.Project) *project.Project {
	services := make(types.Services, len(p.Services))
	for name, s := range p.Services {
		kept := types.ServiceConfig{Name: name}
		kept.Image = s.Image
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeImage {
				kept.Volumes = append(kept.Volumes, v)
			}
		}
		services[name] = kept
	}
	out := *p
	out.Project = &types.Project{Services: services}
	return &out
}

// unpinned are the warnings about images that an override file cannot fix: hooks are appended in merging, not replaced.
func unpinned(p *project.Project) []project.Warning {
	var out []project.Warning
	for _, name := range p.ServiceNames() {
		for i, hook := range p.Services[name].PreStart {
			if hook.Image != "" {
				at := p.Position("services", name, "pre_start", fmt.Sprint(i), "image")
				out = append(out, project.Warning{Position: at, Text: "an override file cannot fix the image of a pre_start hook; --resolve-image-digests without --lock-image-digests does"})
			}
		}
	}
	return out
}
