package sim

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/plan"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// deaf is an engine whose events get lost, or whose answers.
type deaf struct {
	engine.Engine
	silent        bool          // it tells of nothing
	ends          time.Duration // after that each stream of events ends; 0: never
	streams       int
	from, until   time.Time // in between it does not answer questions about containers
	asked, failed int
}

func (d *deaf) Events(ctx context.Context, o events.ListOptions) (<-chan events.Message, <-chan error) {
	d.streams++
	if d.silent {
		errs := make(chan error, 1)
		context.AfterFunc(ctx, func() { errs <- ctx.Err() })
		return make(chan events.Message), errs
	}
	if d.ends == 0 {
		return d.Engine.Events(ctx, o)
	}
	ctx, cancel := context.WithTimeout(ctx, d.ends)
	messages, inner := d.Engine.Events(ctx, o)
	errs := make(chan error, 1)
	go func() {
		<-inner
		cancel()
		errs <- io.EOF
	}()
	return messages, errs
}

func (d *deaf) ContainerInspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	d.asked++
	if now := time.Now(); !now.Before(d.from) && now.Before(d.until) {
		d.failed++
		return container.InspectResponse{}, engine.Errorf(engine.ErrUnavailable, "cannot reach the engine")
	}
	return d.Engine.ContainerInspect(ctx, ref)
}

// A wait ends although the engine does not tell, or not all the time, and asks seldom.
func TestWaitsSurviveLostEvents(t *testing.T) {
	const late = "services: {a: {image: app, command: [sh, -c, 'sleep 7; exit 0']}, b: {image: app, depends_on: {a: {condition: service_completed_successfully}}}}"
	for _, c := range []struct {
		name    string
		engine  func(*deaf)
		after   time.Duration
		asked   int // at most
		streams int // at most
		err     error
	}{
		{"everything is told", func(*deaf) {}, 7 * time.Second, 4, 1, nil},
		{"nothing is told", func(d *deaf) { d.silent = true }, 10 * time.Second, 4, 1, nil},
		{"the stream ends again and again", func(d *deaf) { d.ends = time.Second }, 7 * time.Second, 12, 8, nil},
		{"the stream ends at once", func(d *deaf) { d.ends = time.Nanosecond }, 11300*time.Millisecond + 6, 14, 10, nil},
		{"the engine is away for a second", func(d *deaf) { d.from, d.until = time.Now(), time.Now().Add(time.Second) }, 7 * time.Second, 8, 1, nil},
		{"the engine does not come back", func(d *deaf) { d.from, d.until = time.Now(), time.Now().Add(time.Hour) }, 1750 * time.Millisecond, 5, 1, engine.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := memory.New()
				defer inner.Close()
				inner.AddImage("app", container.Config{Cmd: []string{"sleep", "100000"}})
				d := want(t, late)
				e := &deaf{Engine: inner}
				c.engine(e)
				p, err := convergence.Plan(t.Context(), inner, d, plan.UpOptions{})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				err = convergence.Apply(t.Context(), e, p, convergence.Options{}, nil)
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if after := time.Since(began); after != c.after {
					t.Errorf("it took %v, want %v", after, c.after)
				}
				if e.asked > c.asked || e.streams > c.streams {
					t.Errorf("asked %d times over %d streams, want %d and %d", e.asked, e.streams, c.asked, c.streams)
				}
			})
		})
	}
}
