package desired

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// References make the config hash of a service that uses the namespaces or volumes of others: Docker Compose puts the IDs of
// their first containers in the place of their names before it hashes.
type References struct {
	Text     string   // what is hashed, with a placeholder for each ID
	Services []string // whose IDs those are, sorted
}

// Hash is the config hash with the IDs of the services' first containers. It is "" if one is not known.
func (r *References) Hash(id func(service string) string) string {
	text := r.Text
	for _, name := range r.Services {
		known := id(name)
		if known == "" {
			return ""
		}
		text = strings.ReplaceAll(text, placeholder(name), known)
	}
	return sumOf([]byte(text))
}

// placeholder stands for the ID of a service's first container. JSON writes it as it is.
func placeholder(service string) string { return "{the ID of " + service + "}" }

// composeHash is the config hash that Docker Compose writes into com.docker.compose.config-hash: SHA-256 of the service as
// JSON without what does not make a container different. It is empty if the service cannot be written as JSON. References are
// nil if there are none.
func composeHash(s types.ServiceConfig) (string, *References) {
	s.Build = nil
	s.PullPolicy = ""
	s.Scale = nil
	s.DependsOn = nil
	s.Profiles = nil
	if s.Deploy != nil {
		deploy := *s.Deploy
		deploy.Replicas = nil
		s.Deploy = &deploy
	}
	hash := hashOfJSON(s)
	services := refer(&s)
	text, err := json.Marshal(s)
	switch {
	case err != nil:
		return hash, nil
	case len(services) == 0:
		return sumOf(text), nil
	}
	return hash, &References{Text: string(text), Services: services}
}

// refer puts placeholders in the place of other services' names, and returns those.
func refer(s *types.ServiceConfig) []string {
	named := make(map[string]bool)
	for _, mode := range []*string{&s.NetworkMode, &s.Ipc, &s.Pid} {
		if name, ok := strings.CutPrefix(*mode, types.ServicePrefix); ok {
			*mode, named[name] = types.ContainerPrefix+placeholder(name), true
		}
	}
	s.VolumesFrom = slices.Clone(s.VolumesFrom)
	for i, from := range s.VolumesFrom {
		parts := strings.Split(from, ":")
		if parts[0] == "container" && len(parts) > 1 {
			s.VolumesFrom[i] = parts[1]
			continue
		}
		s.VolumesFrom[i], named[parts[0]] = placeholder(parts[0]), true
	}
	return sortedKeys(named)
}

// composeNetworkHash is the config hash of a network, by which Docker Compose knows that it has to make it anew.
func composeNetworkHash(n types.NetworkConfig) string { return hashOfJSON(n) }

// composeVolumeHash is that of a volume. Docker Compose fills in the driver before it counts.
func composeVolumeHash(v types.VolumeConfig) string {
	v.Driver = cmp.Or(v.Driver, "local")
	return hashOfJSON(v)
}

func hashOfJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return sumOf(text)
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
