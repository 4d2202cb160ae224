package desired

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// BuildKit is the part of a build that the Engine API's POST /build has no words for. It needs an engine that gives access to
// its BuildKit.
type BuildKit struct {
	Contexts      map[string]string // further contexts by name: an absolute directory, or an address that BuildKit knows
	Secrets       []BuildSecret
	SSH           []BuildSSH
	CacheFrom     []string // as Compose writes them: an image, or "type=…,key=value"
	CacheTo       []string // the same
	NoCacheFilter []string // stages that are built anew
	Entitlements  []string // what steps may do beyond the usual: "network.host", "security.insecure"
}

// BuildSecret is a secret of a build, by the ID by which the Dockerfile mounts it.
type BuildSecret struct {
	ID      string
	Content []byte `json:"-"`
}

// BuildSSH is an SSH agent, or keys in its place, by the ID by which the Dockerfile mounts it. Without paths it is the agent
// of $SSH_AUTH_SOCK.
type BuildSSH struct {
	ID    string
	Paths []string // a socket, or private keys
}

// NeedsBuildKit names the attributes of the build that only BuildKit can carry out; empty: POST /build will do.
func (b *Build) NeedsBuildKit() []string {
	var out []string
	for _, a := range []struct {
		name string
		used bool
	}{
		{"additional_contexts", len(b.Kit.Contexts) > 0},
		{"secrets", len(b.Kit.Secrets) > 0},
		{"ssh", len(b.Kit.SSH) > 0},
		{"cache_from", len(b.Kit.CacheFrom) > 0},
		{"cache_to", len(b.Kit.CacheTo) > 0},
		{"no_cache_filter", len(b.Kit.NoCacheFilter) > 0},
		{"entitlements", len(b.Kit.Entitlements) > 0},
	} {
		if a.used {
			out = append(out, a.name)
		}
	}
	return out
}

// insecureBuilds is the entitlement that build.privileged asks for.
const insecureBuilds = "security.insecure"

// buildKit fills in what the tar of POST /build cannot carry.
func (s *serviceBuilder) buildKit(b *Build) {
	c := s.Build
	for _, source := range c.CacheFrom {
		if ref := strings.TrimPrefix(source, "type=registry,ref="); !strings.Contains(ref, "=") && !strings.Contains(ref, ",") {
			b.Options.CacheFrom = append(b.Options.CacheFrom, ref)
			continue
		}
		b.Kit.CacheFrom = append(b.Kit.CacheFrom, source)
	}
	b.Kit.CacheTo = slices.Clone(c.CacheTo)
	b.Kit.NoCacheFilter = slices.Clone(c.NoCacheFilter)
	b.Kit.Entitlements = slices.Clone(c.Entitlements)
	if c.Privileged && !slices.Contains(c.Entitlements, insecureBuilds) {
		b.Kit.Entitlements = append(b.Kit.Entitlements, insecureBuilds)
	}
	for _, key := range c.SSH {
		b.Kit.SSH = append(b.Kit.SSH, BuildSSH{ID: key.ID, Paths: nonEmpty(key.Path)})
	}
	s.buildSecrets(b)
	s.buildContexts(b)
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func (s *serviceBuilder) buildSecrets(b *Build) {
	for _, ref := range s.Build.Secrets {
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		b.Kit.Secrets = append(b.Kit.Secrets, BuildSecret{ID: id, Content: s.b.in.Contents[project.ContentKey("secrets", ref.Source)]})
	}
}

// buildContexts are the further contexts. The image of another service is built first.
func (s *serviceBuilder) buildContexts(b *Build) {
	for _, name := range slices.Sorted(maps.Keys(s.Build.AdditionalContexts)) {
		value := s.Build.AdditionalContexts[name]
		if b.Kit.Contexts == nil {
			b.Kit.Contexts = make(map[string]string)
		}
		if value == "" || strings.HasPrefix(value, "oci-layout://") {
			s.mistake("the context "+name+" is neither a folder nor an address that a build knows", "write a folder, a URL, docker-image://IMAGE or service:NAME", "build", "additional_contexts", name)
			continue
		}
		other, ok := strings.CutPrefix(value, types.ServicePrefix)
		if !ok {
			b.Kit.Contexts[name] = value
			continue
		}
		model, ok := s.b.project.AllServices()[other]
		if !ok {
			continue // the project says so
		}
		b.Kit.Contexts[name] = "docker-image://" + imageName(s.b.project.Name, s.b.separator(), model)
		if slices.Contains(s.below, other) || other == s.Name {
			s.mistake("the builds of "+s.Name+" and "+other+" need each other", "remove one of the contexts", "build", "additional_contexts", name)
			continue
		}
		first := &serviceBuilder{ServiceConfig: model, b: s.b, out: &Service{Name: other, Image: imageName(s.b.project.Name, s.b.separator(), model)}, below: append(slices.Clone(s.below), s.Name)}
		if build := first.build(); build != nil {
			b.After = append(b.After, build)
		}
	}
}
