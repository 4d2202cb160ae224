package desired

import (
	"maps"
	"slices"
	"strings"

	dockerbuild "github.com/docker/docker/api/types/build"
)

// Build says how the image of a service is made.
type Build struct {
	Service    string
	Context    string // an absolute directory, or a URL
	Dockerfile string // relative to the context, or absolute
	Inline     string // the Dockerfile's text; Dockerfile is empty then
	Options    dockerbuild.ImageBuildOptions
}

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
		CacheFrom:   s.cacheFrom(c.CacheFrom),
		Remove:      true,
		Platform:    s.Platform,
	}
	if b.Options.Labels == nil {
		b.Options.Labels = make(map[string]string, 3)
	}
	b.Options.Labels[LabelProject] = s.b.project.Name
	b.Options.Labels[LabelService] = s.Name
	b.Options.Labels[LabelVersion] = composeVersion
	return b
}

// cacheFrom accepts images only; the other kinds belong to builders that are not part of an engine.
func (s *serviceBuilder) cacheFrom(sources []string) []string {
	var out []string
	for _, source := range sources {
		if strings.Contains(source, "type=") {
			ref, ok := strings.CutPrefix(source, "type=registry,ref=")
			if !ok {
				s.mistake("the cache source "+source+" is not supported: "+notYet, "name an image", "build", "cache_from")
				continue
			}
			source = ref
		}
		out = append(out, source)
	}
	return slices.Clip(out)
}
