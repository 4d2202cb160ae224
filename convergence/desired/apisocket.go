package desired

import (
	"cmp"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Where the clients of an engine's API look for its socket and for what docker login stored. The places of the latter are
// those that docker run --use-api-socket has for it.
const (
	apiSocket        = "/var/run/docker.sock"
	apiSocketConfig  = "/run/secrets/docker"
	apiSocketEnvName = "DOCKER_CONFIG"
)

// useAPISocket mounts the engine's socket, if the service asks for it, and says where the credentials are; a service that
// says so itself keeps its own.
func (s *serviceBuilder) useAPISocket() {
	if !s.UseAPISocket {
		return
	}
	s.Volumes = append(slices.Clone(s.Volumes), types.ServiceVolumeConfig{
		Type: types.VolumeTypeBind, Source: cmp.Or(s.b.in.APISocket, apiSocket), Target: apiSocket,
		Bind: &types.ServiceVolumeBind{CreateHostPath: false}, // a folder would be no socket
	})
	if _, own := s.Environment[apiSocketEnvName]; own {
		return
	}
	if s.Environment = maps.Clone(s.Environment); s.Environment == nil {
		s.Environment = types.MappingWithEquals{}
	}
	dir := apiSocketConfig
	s.Environment[apiSocketEnvName] = &dir
}

// credentials are a file with what docker login stored. They may change at any time, which is no reason to replace a
// container.
func (s *serviceBuilder) credentials() []File {
	if !s.UseAPISocket {
		return nil
	}
	return []File{{Path: apiSocketConfig + "/config.json", Content: s.b.in.Credentials, Mode: 0o444, Volatile: true}}
}
