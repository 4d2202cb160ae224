package fsnotify

import (
	"testing"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/watchtest"
)

func open(t *testing.T) watch.Source {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSource(t *testing.T) { watchtest.Source(t, open) }

// Whoever is told of lost events and looks everywhere knows what is there.
func TestLostEvents(t *testing.T) {
	var lossy *watchtest.Lossy
	seed := watchtest.Seed(t)
	watchtest.Random(t, func(t *testing.T) watch.Source {
		lossy = watchtest.NewLossy(open(t), seed, 20)
		return lossy
	})
	if lossy.Losses() == 0 {
		t.Error("no events were lost")
	}
}
