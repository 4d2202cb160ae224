package desired

import "time"

// Order says whether the new container of an update starts before the old one is stopped, or after.
type Order string

// The orders, in the words of the Compose file.
const (
	StopFirst  Order = "stop-first"
	StartFirst Order = "start-first"
)

// FailureAction says what becomes of an update of which more failed than may.
type FailureAction string

// The actions, in the words of the Compose file.
const (
	FailurePause    FailureAction = "pause"    // what is done stays, the rest is left alone
	FailureContinue FailureAction = "continue" // as if nothing had failed
	FailureRollback FailureAction = "rollback" // the old containers are brought back
)

// Update is how the containers of a service are replaced by others.
type Update struct {
	Order           Order
	Parallelism     int           // how many at a time; 0: all
	Delay           time.Duration // between two batches
	Monitor         time.Duration // how long a new container must not fail after its start; 0: not watched
	OnFailure       FailureAction
	MaxFailureRatio float32 // of the containers of the service, that may fail
}
