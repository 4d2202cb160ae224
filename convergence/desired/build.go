package desired

import (
	"maps"
	"slices"

	dockerbuild "github.com/docker/docker/api/types/build"
)

// Build says how the image of a service is made.
type Build struct {
	Service    string
	Context    string // an absolute directory, or a URL
	Dockerfile string // relative to the context, or absolute
	Inline     string // the Dockerfile's text; Dockerfile is empty then
	Options    dockerbuild.ImageBuildOptions
	Kit        BuildKit
	After      []*Build // of services whose images are contexts of this one
}

// Image is the first of the names that the image gets.
func (b *Build) Image() string { return b.Options.Tags[0] }

func (s *serviceBuilder) build() *Build {
	c := s.Build
	if c == nil {
		return nil
	}
	b := &Build{Service: s.Name, Context: c.Context, Dockerfile: c.Dockerfile, Inline: c.DockerfileInline}
	b.Options = dockerbuild.ImageBuildOptions{
		Tags:        append([]string{s.out.Image}, c.Tags...),
		NoCache:     c.NoCache,
		PullParent:  c.Pull,
		BuildArgs:   maps.Clone(map[string]*string(c.Args)),
		Labels:      maps.Clone(map[string]string(c.Labels)),
		Target:      c.Target,
		NetworkMode: c.Network,
		ExtraHosts:  extraHosts(c.ExtraHosts),
		ShmSize:     int64(c.ShmSize),
		Ulimits:     ulimits(c.Ulimits),
		Remove:      true,
		Platform:    s.buildPlatform(c.Platforms),
	}
	if b.Options.Labels == nil {
		b.Options.Labels = make(map[string]string, 3)
	}
	b.Options.Labels[LabelProject] = s.b.project.Name
	b.Options.Labels[LabelService] = s.Name
	b.Options.Labels[LabelVersion] = composeVersion
	s.buildKit(b)
	return b
}

// buildPlatform is the one platform that the image is built for.
func (s *serviceBuilder) buildPlatform(platforms []string) string {
	switch {
	case s.Platform != "":
		if len(platforms) > 0 && !slices.Contains(platforms, s.Platform) {
			s.mistake("the platforms of the build do not include "+s.Platform, "add the platform of the service", "build", "platforms")
		}
		return s.Platform
	case len(platforms) > 1:
		s.mistake("an image is built for one platform at a time", "choose one with platform", "build", "platforms")
	case len(platforms) == 1:
		return platforms[0]
	}
	return ""
}
