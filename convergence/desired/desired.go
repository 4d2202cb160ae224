package desired

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

// Project is what is to be there. Its slices are sorted: services by name, networks and volumes by key.
type Project struct {
	Name     string
	Networks []Network
	Volumes  []Volume
	Services []Service
	Disabled []string // services that a profile keeps out; their containers are not orphans
}

// Service returns the named one, or nil.
func (p *Project) Service(name string) *Service {
	i, ok := slices.BinarySearchFunc(p.Services, name, func(s Service, name string) int { return strings.Compare(s.Name, name) })
	if !ok { // or a caller has added one out of order
		i = slices.IndexFunc(p.Services, func(s Service) bool { return s.Name == name })
	}
	if i < 0 {
		return nil
	}
	return &p.Services[i]
}

// Images yields the references of the images that services and their hooks are made of, some perhaps more than once.
func (p *Project) Images() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range p.Services {
			if image := p.Services[i].Image; image != "" && !yield(image) {
				return
			}
			for _, hook := range p.Services[i].PreStart {
				if !yield(hook.Image) {
					return
				}
			}
		}
	}
}

// Network returns the one with this key of the Compose file, or nil.
func (p *Project) Network(key string) *Network {
	i, ok := slices.BinarySearchFunc(p.Networks, key, func(n Network, key string) int { return strings.Compare(n.Key, key) })
	if !ok {
		return nil
	}
	return &p.Networks[i]
}

// Volume returns the one with this key of the Compose file, or nil.
func (p *Project) Volume(key string) *Volume {
	i, ok := slices.BinarySearchFunc(p.Volumes, key, func(v Volume, key string) int { return strings.Compare(v.Key, key) })
	if !ok {
		return nil
	}
	return &p.Volumes[i]
}

// Network is one network of the project, or one outside that it uses.
type Network struct {
	Key      string // in the Compose file
	Name     string // in the engine
	External bool   // it must be there already and is never changed
	Create   network.CreateOptions
	Hash     string // of Create without labels of our own
	Settings Settings

	// ComposeHash is the config hash as Docker Compose computes it, by which its networks are taken over.
	ComposeHash string `json:",omitempty"`
}

// Volume is one named volume of the project, or one outside that it uses.
type Volume struct {
	Key      string
	Name     string
	External bool
	Create   volume.CreateOptions
	Hash     string
	Settings Settings

	ComposeHash string `json:",omitempty"` // as for networks
}

// Service is a set of equal containers.
type Service struct {
	Name       string
	Image      string // the reference; for a service that is only built, the name that the build gives; empty with Provider
	Platform   *ocispec.Platform
	Pull       PullPolicy
	Refresh    time.Duration `json:",omitempty"` // of PullRefresh: how old the last pull may be
	Build      *Build        // nil if the image is not built
	PullFirst  bool          // pull_policy says that a missing image is pulled; it is built only if that fails
	DependsOn  []Dependency
	Shares     []string // services whose namespaces or volumes these containers use, sorted; recreated with them
	Networks   []string // keys, sorted
	Volumes    []string // keys, sorted
	Containers []Container
	PreStart   []PreStart `json:",omitempty"` // in this order
	PostStart  []Hook     `json:",omitempty"` // in this order
	PreStop    []Hook     `json:",omitempty"` // in this order

	// Provider says that a program outside the engine provides the service, which has no image and no containers then.
	Provider *Provider  `json:",omitempty"`
	Models   []ModelUse `json:",omitempty"` // sorted by key

	// Update is how its containers are replaced, Rollback how they are brought back when that fails: deploy.update_config
	// and deploy.rollback_config. nil: all at once, each stopped before its successor starts.
	Update   *Update `json:",omitempty"`
	Rollback *Update `json:",omitempty"`

	// RestartUnhealthy asks whoever keeps the project converged to restart a container that is unhealthy.
	RestartUnhealthy bool `json:",omitempty"`

	// ComposeHash is the config hash as Docker Compose computes it, by which its containers are taken over.
	// With References, it is what they make of it.
	ComposeHash string
	References  *References `json:",omitempty"`
}

// OneOff says that the service is a container of "run", which ends when its command does.
func (s *Service) OneOff() bool {
	return len(s.Containers) == 1 && s.Containers[0].Config.Config.Labels[LabelOneOff] == "True"
}

// Condition says what a dependency must have reached before the dependent starts.
type Condition string

// The conditions of depends_on.
const (
	Started   Condition = "service_started"
	Healthy   Condition = "service_healthy"
	Completed Condition = "service_completed_successfully"
)

// Dependency is one entry of depends_on.
type Dependency struct {
	Service   string
	Condition Condition
	Restart   bool // restart the dependent when the dependency was restarted or recreated
	Required  bool // without it, a dependency that is not there or fails is no obstacle
}

// Container is one replica.
type Container struct {
	Name     string
	Number   int // from 1
	Config   engine.CreateConfig
	Files    []File   // put into the container before it starts
	Hash     string   // "1:" and 64 hex digits; see Settings
	Settings Settings // what Hash was made of
}

// File is a config or a secret in a container. It is copied there before the container starts, or it is a file of the
// host that is mounted; of that, the content matters for the hash only.
type File struct {
	Path     string // absolute, in the container
	Content  []byte
	Mounted  bool
	Volatile bool `json:",omitempty"` // its content is no part of what makes containers different
	UID, GID int
	Mode     int64 // permission bits
}
