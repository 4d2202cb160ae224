package desired

import (
	"cmp"
	"math"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

// Order says whether the new container of an update starts before the old one is stopped, or after.
type Order string

// The orders, in the words of the Compose file.
const (
	StopFirst  Order = "stop-first"
	StartFirst Order = "start-first"
)

// FailureAction says what becomes of an update of which more failed than may. Whatever it is, a container whose successor
// failed is brought back.
type FailureAction string

// The actions, in the words of the Compose file.
const (
	FailurePause    FailureAction = "pause"    // what is done stays, the rest is left alone
	FailureContinue FailureAction = "continue" // the rest follows all the same
	FailureRollback FailureAction = "rollback" // all old containers are brought back
)

// Update is how the containers of a service are replaced by others.
type Update struct {
	Order           Order
	Parallelism     int           // how many at a time; 0: all
	Delay           time.Duration // between two batches
	Monitor         time.Duration // how long a new container must not fail after its start; 0: not watched
	OnFailure       FailureAction
	MaxFailureRatio float32 // of the containers that are replaced, that may fail
}

// MayFail is how many of so many containers may fail before the update has failed.
func (u *Update) MayFail(containers int) int {
	if u.OnFailure == FailureContinue {
		return containers
	}
	const rounding = 1e-6 // 0.7 is a little less than 0.7 in 32 bits
	return int(math.Floor((float64(u.MaxFailureRatio) + rounding) * float64(containers)))
}

// updates reads deploy.update_config and deploy.rollback_config.
func (s *serviceBuilder) updates() {
	if s.Deploy == nil {
		return
	}
	s.out.Update = s.update(s.Deploy.UpdateConfig, "update_config")
	s.out.Rollback = s.update(s.Deploy.RollbackConfig, "rollback_config")
	if back := s.out.Rollback; back != nil && back.OnFailure == FailureRollback {
		s.mistake("a rollback that fails is not rolled back", "write pause or continue", "deploy", "rollback_config", "failure_action")
	}
}

// update is what c says, with the defaults of the Compose specification; of the parallelism, which has none there, that of
// Docker.
func (s *serviceBuilder) update(c *types.UpdateConfig, attribute string) *Update {
	if c == nil {
		return nil
	}
	if c.MaxFailureRatio < 0 || c.MaxFailureRatio > 1 {
		s.mistake("a ratio is between 0 and 1", "", "deploy", attribute, "max_failure_ratio")
	}
	out := &Update{
		Order:           cmp.Or(Order(c.Order), StopFirst),
		Parallelism:     1,
		Delay:           time.Duration(c.Delay),
		Monitor:         time.Duration(c.Monitor),
		OnFailure:       cmp.Or(FailureAction(c.FailureAction), FailurePause),
		MaxFailureRatio: c.MaxFailureRatio,
	}
	if c.Parallelism != nil {
		out.Parallelism = int(min(*c.Parallelism, math.MaxInt32))
	}
	return out
}
