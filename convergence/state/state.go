// Package state holds what an engine was found to have of a project, as plain values: the input of a plan, beside what is
// desired. Nothing here refers to an engine.
package state

import (
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/convergence/desired"
)

// Project is what is there.
type Project struct {
	Name       string
	Containers []Container        // sorted by service, number, name; one-off containers included
	Networks   map[string]Network // by name: the project's, and those of the names it wants
	Volumes    map[string]Volume  // likewise
	Images     map[string]Image   // by the reference that was asked for; those that are not there are missing
}

// Of returns the service's containers without one-off ones.
func (p *Project) Of(service string) []Container {
	var out []Container
	i, _ := slices.BinarySearchFunc(p.Containers, service, func(c Container, service string) int { return strings.Compare(c.Service, service) })
	for ; i < len(p.Containers) && p.Containers[i].Service == service; i++ {
		if c := p.Containers[i]; !c.OneOff {
			out = append(out, c)
		}
	}
	return out
}

// Container is one container of the project.
type Container struct {
	ID      string
	Name    string
	Service string
	Number  int
	OneOff  bool   // made by "run", or for a hook
	Hook    string // desired.LabelHook: what kind of hook it is for

	Image   string // the reference that it was made with
	ImageID string

	Status   Status
	Health   Health
	ExitCode int // of an exited one

	Hash        string // desired.LabelHash
	Config      string // desired.LabelConfig, packed
	ComposeHash string // desired.LabelConfigHash

	// Mutable are the settings that can be changed in place, as the engine has them now; nil if it was not asked.
	Mutable desired.Settings

	// Joins are the IDs, or the names, of the containers whose namespaces it enters; none if the engine was not asked.
	Joins []string

	StartedAt    time.Time // of its last start; the zero value: never, or not known
	RestartCount int       // how often its restart policy has started it again

	Networks  []string          // names, sorted
	Ports     []string          // ports of the host that it holds, sorted
	Volumes   []string          // names of the volumes that it has, sorted
	Anonymous map[string]string // anonymous volumes: where they are mounted, and their names
	DependsOn []string          // services, from the label, for projects without a file
	Created   time.Time
}

// On says whether the container is on the network.
func (c Container) On(network string) bool { return slices.Contains(c.Networks, network) }

// Status is the engine's word for what a container does.
type Status string

// The values of Status.
const (
	Created    Status = "created"
	Running    Status = "running"
	Paused     Status = "paused"
	Restarting Status = "restarting"
	Removing   Status = "removing"
	Exited     Status = "exited"
	Dead       Status = "dead"
)

// Alive says whether the container has a process or will have one again by itself.
func (s Status) Alive() bool { return s == Running || s == Paused || s == Restarting }

// Health is the outcome of a container's health check; empty without one.
type Health string

// The values of Health.
const (
	NoHealth  Health = ""
	Starting  Health = "starting"
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
)

// Network is one network.
type Network struct {
	ID, Name string
	Project  string // whose it is by its label; empty for one that nobody's project made
	Key      string // desired.LabelNetwork
	Hash     string
	Config   string
	// ComposeHash is desired.LabelConfigHash, if there is one.
	ComposeHash string

	// What follows is looked at only if it is not as wanted.
	Users []string              // names of the containers that are on it, sorted
	Made  network.CreateOptions // what would make it again
}

// Volume is one volume.
type Volume struct {
	Name        string
	Project     string
	Key         string // desired.LabelVolume
	Hash        string
	Config      string
	ComposeHash string // as for networks

	Users []string // names of the containers that have it, sorted; looked at only if it is not as wanted
}

// Image is one image.
type Image struct {
	ID     string
	Tagged time.Time // when it got its name by a pull or a build; the zero value if the engine does not tell
}
