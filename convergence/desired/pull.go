package desired

import (
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// PullPolicy says when an image is fetched.
type PullPolicy string

// The pull policies. PullBuild means that the image is built whenever the project is brought up, PullRefresh that it is
// pulled again when its last pull is some time ago.
const (
	PullMissing PullPolicy = "missing"
	PullAlways  PullPolicy = "always"
	PullNever   PullPolicy = "never"
	PullBuild   PullPolicy = "build"
	PullRefresh PullPolicy = "refresh"
)

// pullFirst: who writes a pull policy beside a build wants the image of the registry. Without one the image is built, so
// that a name that happens to exist in a public registry is not run instead of the project's own.
func (s *serviceBuilder) pullFirst() bool {
	if s.Image == "" || s.PullPolicy == "" {
		return false
	}
	policy, _ := s.pullPolicy()
	return policy == PullMissing || policy == PullRefresh
}

// pullPolicy is the service's policy and, of PullRefresh, the time after which the image is pulled again.
func (s *serviceBuilder) pullPolicy() (PullPolicy, time.Duration) {
	policy, every, err := s.GetPullPolicy()
	if err != nil {
		s.mistake("pull_policy "+s.PullPolicy+" is not a policy", "write always, missing, never, build, daily, weekly or every_ with a duration, for example every_12h", "pull_policy")
		return PullMissing, 0
	}
	switch policy {
	case types.PullPolicyIfNotPresent:
		return PullMissing, 0
	case types.PullPolicyRefresh:
		return PullRefresh, s.refreshAfter(every)
	}
	return PullPolicy(policy), 0
}

// refreshAfter is the time of daily, weekly and every_<duration>. For refresh it is stated by pull_refresh_after; without
// it, each time is a time to look.
func (s *serviceBuilder) refreshAfter(every time.Duration) time.Duration {
	if s.PullPolicy != types.PullPolicyRefresh || s.PullRefreshAfter == "" {
		return every
	}
	stated := types.ServiceConfig{ContainerSpec: types.ContainerSpec{PullPolicy: "every_" + s.PullRefreshAfter}}
	_, after, err := stated.GetPullPolicy()
	if err != nil {
		s.mistake("pull_refresh_after "+s.PullRefreshAfter+" is not a duration", "write for example 12h, 3d or 1w", "pull_refresh_after")
	}
	return after
}
