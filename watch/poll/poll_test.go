package poll

import (
	"testing"
	"time"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/watchtest"
)

func TestSource(t *testing.T) {
	watchtest.Source(t, func(*testing.T) watch.Source { return New(3 * time.Millisecond) })
}
