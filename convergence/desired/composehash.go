package desired

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/types"
)

// composeHash is the config hash that Docker Compose writes into com.docker.compose.config-hash: SHA-256 of the service as
// JSON without what does not make a container different. It is empty if the service cannot be written as JSON.
func composeHash(s types.ServiceConfig) string {
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
	return hashOfJSON(s)
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
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
