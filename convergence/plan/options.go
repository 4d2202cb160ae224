package plan

import (
	"time"

	"stackrun.dev/stack/convergence/desired"
)

// Recreate says when a container is replaced by a new one.
type Recreate string

// The policies. The zero value is RecreateDiverged.
const (
	RecreateDiverged Recreate = ""      // when it differs from what is desired
	RecreateForce    Recreate = "force" // always
	RecreateNever    Recreate = "never" // not even when it differs
)

// UpOptions are the choices of whoever brings a project up.
type UpOptions struct {
	Services      []string // only these and what they depend on; empty: all
	NoDeps        bool     // not what they depend on
	Recreate      Recreate // of the services
	RecreateDeps  Recreate // of those that are there because others depend on them
	RemoveOrphans bool     // containers of services that the project no longer has
	Timeout       *int     // seconds to stop; nil: each container's own
	Build         bool     // build images also when they are there
	NoBuild       bool     // do not build; a missing image is pulled
	Pull          desired.PullPolicy
	NoStart       bool
	RenewVolumes  bool // give recreated containers new anonymous volumes
	AllResources  bool // also networks and volumes that no service uses
	Wait          bool // until everything runs and is healthy

	// RecreateVolumes are the keys of volumes that may be made anew if they differ, and lose what is in them.
	RecreateVolumes map[string]bool

	// Unhealthy are the names of containers that are to be restarted because they are unhealthy.
	Unhealthy map[string]bool

	// Overtaken says that containers are restarted also if earlier rounds have started them, when one that they depend on with
	// restart: true was started after them. It is for who watches: to the moment, and again and again.
	Overtaken bool

	// Handover says that the engine lets a container publish the ports of the one that it takes over from (see
	// desired.LabelTakesOver), so that an update which starts first need not stop a container for its ports.
	Handover bool

	// Now is when the plan is made. It decides which images were pulled too long ago; the zero value: none.
	Now time.Time

	// What earlier rounds of the same run have done, so that it is not done again.
	Fetched  map[string]bool   // references of images that were pulled or built
	Unpulled map[string]string // references of images that could not be pulled and are built instead, with the reason
	Touched  map[string]bool   // names of containers that were made or started; what they did since then is their own affair
	Updated  map[string]bool   // names of containers whose limits were changed in place
	Awaited  map[string]bool   // names of containers that were waited for and were up
	Given    desired.Given     // what providers and model runners have said
}

// DownOptions are the choices of whoever takes a project down.
type DownOptions struct {
	Services      []string // only these; networks and volumes stay
	Volumes       bool     // also the volumes, named ones included
	RemoveOrphans bool
	Images        RemoveImages
	Timeout       *int
}

// RemoveImages says which images go with the project.
type RemoveImages string

// The values of RemoveImages.
const (
	KeepImages  RemoveImages = ""
	LocalImages RemoveImages = "local" // those that have no name of their own in the file
	AllImages   RemoveImages = "all"
)

// LifecycleOptions are those of start, stop, restart, kill, pause, unpause and rm.
type LifecycleOptions struct {
	Services []string // empty: all
	NoDeps   bool     // restart only: not what depends on them with restart: true
	Timeout  *int
	Signal   string // kill only; empty: SIGKILL
	Volumes  bool   // rm only: with anonymous volumes
	Stop     bool   // rm only: stop them first
	Wait     bool   // start only
}
