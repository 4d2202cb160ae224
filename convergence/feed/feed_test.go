package feed_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence/feed"
	"stackrun.dev/stack/engine"
)

// system hands out streams that a test ends.
type system struct {
	engine.System
	asked   []time.Duration // when each stream was asked for
	began   time.Time
	streams chan stream
}

type stream struct {
	ctx      context.Context
	messages chan events.Message
	over     chan error
}

func newSystem() *system { return &system{began: time.Now(), streams: make(chan stream, 100)} }

func (s *system) Events(ctx context.Context, _ events.ListOptions) (<-chan events.Message, <-chan error) {
	s.asked = append(s.asked, time.Since(s.began))
	one := stream{ctx, make(chan events.Message), make(chan error, 1)}
	context.AfterFunc(ctx, func() {
		select {
		case one.over <- ctx.Err():
		default:
		}
	})
	s.streams <- one
	return one.messages, one.over
}

// TestRun: what streams tell is passed on, and between two of them stands that something may have been missed.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem()
		ctx, cancel := context.WithCancel(t.Context())
		f := feed.Subscribe(ctx, s, feed.Containers("p"))
		first := <-s.streams // it holds before anybody listens
		var told []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run(func(m events.Message) { told = append(told, string(m.Action)) }, func(lost error) error {
				told = append(told, "again: "+lost.Error())
				return nil
			})
		}()
		first.messages <- events.Message{Action: "start"}
		first.over <- io.EOF
		second := <-s.streams
		second.messages <- events.Message{Action: "die"}
		close(second.messages)
		second.over <- errors.New("cut")
		third := <-s.streams
		third.messages <- events.Message{Action: "destroy"}
		cancel()
		<-done
		if want := []string{"start", "again: EOF", "die", "again: cut", "destroy"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		for _, one := range []stream{first, second, third} {
			if one.ctx.Err() == nil {
				t.Error("a stream was not given back")
			}
		}
	})
}

// TestPauses: an engine that is away is asked less and less often; once a stream has lasted, soon again.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem()
		ctx, cancel := context.WithCancel(t.Context())
		refused := 8
		f := feed.Subscribe(ctx, s, feed.Containers("p"))
		(<-s.streams).over <- io.EOF
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run(func(events.Message) {}, func(error) error {
				if refused--; refused >= 0 {
					return errors.New("the list cannot be had either")
				}
				return nil
			})
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		for range 8 {
			<-s.streams
		}
		last := <-s.streams
		last.over <- io.EOF
		time.Sleep(150 * time.Millisecond)
		cancel()
		<-done
		want := []time.Duration{0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300, 21300, 60100}
		for i := range want {
			want[i] *= time.Millisecond
		}
		if !slices.Equal(s.asked, want) {
			t.Errorf("asked at %v, want %v", s.asked, want)
		}
	})
}
