package container

import (
	"context"
	"testing"
	"testing/synctest"
)

func TestWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Record{ID: "c"}, nil)
		isWanted := func() bool {
			select {
			case <-c.Wanted():
				return true
			default:
				return false
			}
		}
		lock := func(ctx context.Context) {
			if err := c.Lock(ctx); err == nil {
				c.Unlock()
			}
		}
		if err := c.Lock(t.Context()); err != nil || isWanted() {
			t.Fatalf("wanted by who has it (%v)", err)
		}
		early := c.Wanted()
		ctx, cancel := context.WithCancel(t.Context())
		go lock(ctx)
		synctest.Wait()
		select {
		case <-early:
		default:
			t.Error("who asked before is not told")
		}
		go lock(t.Context())
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !isWanted() {
			t.Error("one of two still waits")
		}
		c.Unlock()
		synctest.Wait()
		if isWanted() {
			t.Error("nobody waits any more")
		}
	})
}
