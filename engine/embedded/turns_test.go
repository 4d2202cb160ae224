package embedded

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurnsComeOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		at := 0
		for range 5 {
			go func() {
				done, err := all.take(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				if at++; at > 1 {
					t.Errorf("%d have the turn", at)
				}
				time.Sleep(time.Second)
				at--
				done()
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(all.byID) > 0 {
			t.Errorf("%d turns are left", len(all.byID))
		}
	})
}

// Who has another container, or gives up, waits for nobody.
func TestTurnsOfOthersDoNotWait(t *testing.T) {
	var all turns
	doneA, err := all.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	doneB, err := all.take(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := all.take(gone, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	doneA()
	doneB()
	if len(all.byID) > 0 {
		t.Errorf("%d turns are left", len(all.byID))
	}
}
