package plan

import (
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// Operation is one step of a plan: one call of the engine, one wait for something that the engine reports, one run of a
// program beside the engine, or nothing (Gate). The types below are all there are.
type Operation interface {
	Head() *Header
}

// Header is what all operations have.
type Header struct {
	ID      string   `json:"id"`              // unique in the plan, for example "create container x-web-1"
	Needs   []string `json:"needs,omitempty"` // IDs that must have succeeded, sorted
	After   []string `json:"after,omitempty"` // IDs that must be over, whatever came of them, sorted
	Cause   string   `json:"cause,omitempty"` // why, for example "port 8080 added"
	Service string   `json:"service,omitempty"`
	Subject Subject  `json:"subject"`
}

// Head returns the header itself.
func (h *Header) Head() *Header { return h }

// Subject is what an operation is about.
type Subject struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
}

func (s Subject) String() string { return string(s.Kind) + " " + s.Name }

// Kind is a kind of object, in the words in which progress is shown.
type Kind string

// The kinds.
const (
	Container Kind = "Container"
	Network   Kind = "Network"
	Volume    Kind = "Volume"
	Image     Kind = "Image"
	Provider  Kind = "Provider"
	Model     Kind = "Model"
	Service   Kind = "Service" // all containers of one
)

// Replaced is a container that the plan stops so that another one, or the same one anew, can start.
type Replaced struct {
	Container string `json:"container"`           // its ID
	Name      string `json:"name"`                // what it was called
	Running   bool   `json:"running"`             // it had a process
	Temporary string `json:"temporary,omitempty"` // what the new one is called at first; empty if it is the same one
	Final     string `json:"final"`               // what the new one is called in the end

	// Update is the service of whose update this is a part, if it has an update_config; Order is that of the update. End is
	// the ID of the operation after which the new one has taken the place.
	Update string        `json:"update,omitempty"`
	Order  desired.Order `json:"order,omitempty"`
	End    string        `json:"end,omitempty"`
}

// Rollout is what there is to know about the whole update of a service when it fails.
type Rollout struct {
	OnFailure desired.FailureAction `json:"onFailure"`
	Rollback  desired.Update        `json:"rollback"` // how the old containers are brought back
}

// Containers are named by their name where the plan itself makes them, else by their ID, so that a plan that is carried
// out late cannot hit another container of the same name.
type (
	// PullImage fetches an image.
	PullImage struct {
		Header
		Ref      string            `json:"ref"`
		Platform *ocispec.Platform `json:"platform,omitempty"`
		OrBuild  bool              `json:"orBuild,omitempty"` // if it fails, the next plan builds the image
	}

	// BuildImage builds an image and gives it its names.
	BuildImage struct {
		Header
		Ref   string         `json:"ref"`
		Build *desired.Build `json:"-"`
	}

	// RemoveImage removes an image that the project used; one that is gone or used by others is left alone.
	RemoveImage struct {
		Header
		Ref string `json:"ref"`
	}

	// CreateNetwork makes a network.
	CreateNetwork struct {
		Header
		Name    string                `json:"name"`
		Options network.CreateOptions `json:"-"`
	}

	// RemoveNetwork removes a network.
	RemoveNetwork struct {
		Header
		Ref string `json:"ref"`

		// Name and Made are of a network that is made anew, so that Restore can bring the old one back.
		Name string                `json:"name,omitempty"`
		Made network.CreateOptions `json:"-"`
	}

	// ConnectNetwork puts a container on a network.
	ConnectNetwork struct {
		Header
		Network   string                    `json:"network"`
		Container string                    `json:"container"`
		Settings  *network.EndpointSettings `json:"-"`
	}

	// DisconnectNetwork takes a container off a network.
	DisconnectNetwork struct {
		Header
		Network   string `json:"network"`
		Container string `json:"container"`

		// Settings are how it was on a network that is made anew; see Restore.
		Settings *network.EndpointSettings `json:"-"`
	}

	// CreateVolume makes a volume.
	CreateVolume struct {
		Header
		Options volume.CreateOptions `json:"-"`
	}

	// RemoveVolume removes a volume and what is in it.
	RemoveVolume struct {
		Header
		Name string `json:"name"`
	}

	// CreateContainer makes a container.
	CreateContainer struct {
		Header
		Name   string              `json:"name"`
		Config engine.CreateConfig `json:"-"`

		// Settings and ImageID are what Sealed writes into labels.
		Settings desired.Settings `json:"-"`
		ImageID  string           `json:"-"`

		// ImageFrom is the reference of the image that the plan itself pulls or builds, so that its ID is not known
		// yet. The label desired.LabelImage is filled in when it is.
		ImageFrom string `json:"imageFrom,omitempty"`

		// References are what the label desired.LabelConfigHash is made of if it has the IDs of other containers in it. Referred
		// has those containers by their services, as operations name them. May be nil.
		References *desired.References `json:"-"`
		Referred   map[string]string   `json:"-"`
	}

	// CopyFiles puts configs and secrets into a container that has not started.
	CopyFiles struct {
		Header
		Container string         `json:"container"`
		Files     []desired.File `json:"-"`
	}

	// RenameContainer gives a container another name.
	RenameContainer struct {
		Header
		Container string `json:"container"`
		Name      string `json:"name"`
	}

	// UpdateContainer changes limits or the restart policy of a container that goes on as it is.
	UpdateContainer struct {
		Header
		Container string                 `json:"container"`
		Config    container.UpdateConfig `json:"config"` // fields that are zero are left as they are
	}

	// StartContainer starts a container.
	StartContainer struct {
		Header
		Container string `json:"container"`

		// Replaces is what ran before in its place, if anything did. See Restore.
		Replaces *Replaced `json:"replaces,omitempty"`
	}

	// StopContainer stops a container.
	StopContainer struct {
		Header
		Container string `json:"container"`
		Timeout   *int   `json:"timeout,omitempty"` // seconds; nil: the container's own
	}

	// RestartContainer stops and starts a container.
	RestartContainer struct {
		Header
		Container string `json:"container"`
		Timeout   *int   `json:"timeout,omitempty"`
	}

	// KillContainer sends a signal.
	KillContainer struct {
		Header
		Container string `json:"container"`
		Signal    string `json:"signal"`
	}

	// PauseContainer freezes a container's processes.
	PauseContainer struct {
		Header
		Container string `json:"container"`
	}

	// UnpauseContainer thaws them.
	UnpauseContainer struct {
		Header
		Container string `json:"container"`
	}

	// RemoveContainer removes a container that does not run.
	RemoveContainer struct {
		Header
		Container string `json:"container"`
		Volumes   bool   `json:"volumes,omitempty"` // with its anonymous volumes
		Force     bool   `json:"force,omitempty"`   // also if it runs
	}

	// RunHook executes a command in a container that runs.
	RunHook struct {
		Header
		Container string       `json:"container"`
		Moment    HookMoment   `json:"moment"`
		Index     int          `json:"index"`              // among the service's hooks of that moment
		OrExited  bool         `json:"orExited,omitempty"` // a container that has exited by then needs no hook
		Hook      desired.Hook `json:"-"`
	}

	// RunProvider has a provider's program bring up, stop or take down what it provides. What it says about its variables
	// is known to the next plan.
	RunProvider struct {
		Header
		Project  string           `json:"project"`
		Provider desired.Provider `json:"provider"`
		Do       ProviderCommand  `json:"do"`
	}

	// ServeModel has the model runner fetch and configure a model. Where it is served is known to the next plan.
	ServeModel struct {
		Header
		Model desired.Model `json:"model"`
	}

	// WaitHealthy waits until a container's health check succeeds. If operations come after it, the container has to have
	// one. Otherwise nothing hangs on it but the user's knowledge, and OrExited has a meaning: an exit with 0 is as good, and
	// a container without a health check is up when it has run for a moment. With IfAny, one without a health check is as good
	// as a healthy one: only the image tells, and it is not known yet. With Proof, a crash or a failed health check is the end,
	// also if the engine starts the container again or there is time left: it is to take the place of one that works.
	WaitHealthy struct {
		Header
		Container string `json:"container"`
		OrExited  bool   `json:"orExited,omitempty"`
		Optional  bool   `json:"optional,omitempty"` // some of those who wait start also if it fails
		IfAny     bool   `json:"ifAny,omitempty"`
		Proof     bool   `json:"proof,omitempty"`
	}

	// WaitCompleted waits until a container has exited with 0.
	WaitCompleted struct {
		Header
		Container string `json:"container"`
		Of        string `json:"of,omitempty"`       // what the container is for, if it is not one of the service's own
		Optional  bool   `json:"optional,omitempty"` // some of those who wait start also if it fails
	}

	// MonitorContainer watches a container for a time after its start: it must neither exit nor become unhealthy.
	MonitorContainer struct {
		Header
		Container string        `json:"container"`
		For       time.Duration `json:"for"` // nanoseconds
	}

	// Delay lets time pass between two batches of an update.
	Delay struct {
		Header
		For time.Duration `json:"for"` // nanoseconds
	}

	// Gate does nothing. It stands between the many containers of a service and the many that wait for all of them, or
	// between two batches of an update: then it fails if more of the operations in Of have failed than may. A gate that is
	// among them counts as many failures as it has let pass.
	Gate struct {
		Header
		Of      []string `json:"of,omitempty"` // IDs, all of them also in After or Needs
		MayFail int      `json:"mayFail,omitempty"`

		// Update is set on the last gate of an update. See Restore.
		Update *Rollout `json:"update,omitempty"`
	}
)

// ProviderCommand is what a provider's program is to do, in its own words.
type ProviderCommand string

// The commands of providers. A provider that does not know ProviderStop is left alone by it.
const (
	ProviderUp   ProviderCommand = "up"
	ProviderStop ProviderCommand = "stop"
	ProviderDown ProviderCommand = "down"
)

// HookMoment says when a hook is executed.
type HookMoment string

// The moments, in the words of the Compose file.
const (
	PostStart HookMoment = "post_start"
	PreStop   HookMoment = "pre_stop"
)
