package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"stackrun.dev/stack/cmd/stack/internal/launch"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/engine"
)

// life is the embedded engine as a command sees it that needs it. For a command that stays there will be another one when it has
// gone: calls wait until then. One that was killed is started again. One that was told to stop is waited for, because somebody
// wanted that; it may be about to be replaced by another version.
type life struct {
	target launch.Target
	lease  *launch.Lease
	now    func() time.Time

	mu    sync.Mutex
	next  chan struct{} // closed when the engine was reached again, or nobody waits for one any more; nil: nobody does
	count int           // of the times that an engine was lost or reached
	asked chan struct{} // closed when the user wants something that needs an engine, even one that was stopped
}

// An engine that was started again so often in a row, and ended sooner than that each time, is not worth another start.
const (
	shortLife  = time.Second
	shortLives = 3
)

// Close lets the engine go.
func (l *life) Close() error {
	if l == nil {
		return nil
	}
	return l.lease.Close()
}

// APIVersion is the newest version of the Docker Engine API that the engine speaks, or "" if it does not tell.
func (l *life) APIVersion() string {
	if l == nil {
		return ""
	}
	return l.lease.APIVersion()
}

// goesOn has calls wait for an engine that has gone, until stop is called. What happens to it is told; an engine that cannot be
// started, or does not live, is told and left alone.
func (l *life) goesOn(ctx context.Context, told func(error)) (stop func()) {
	if l == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.next, l.asked = make(chan struct{}), make(chan struct{})
	l.mu.Unlock()
	var running sync.WaitGroup
	running.Go(func() {
		defer l.turn(nil)
		if err := l.run(ctx, told); err != nil && ctx.Err() == nil {
			told(fmt.Errorf("%w; the containers go on without an engine, and this command starts none any more", err))
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

func (l *life) run(ctx context.Context, told func(error)) error {
	for began, short := l.now(), 0; ; began = l.now() {
		l.lease.Wait(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		l.counted()
		stopped := l.target.Stopped()
		if short++; stopped || l.now().Sub(began) >= shortLife {
			short = 0
		}
		if short >= shortLives {
			return errors.New("the engine has ended again and again as soon as it was started; its log is " + l.target.LogFile())
		}
		lease, err := l.another(ctx, told)
		if err != nil {
			return err
		}
		_ = l.lease.Close() // of an engine that is no more
		l.lease = lease
		if !stopped {
			told(errors.New("the engine had ended, and was started again; its log is " + l.target.LogFile()))
		}
		l.turn(make(chan struct{}))
	}
}

// another reaches the next engine.
func (l *life) another(ctx context.Context, told func(error)) (*launch.Lease, error) {
	waited := false
	for {
		lease, err := launch.Resume(ctx, l.target, engineProgram)
		switch {
		case err == nil && waited:
			told(errors.New("the engine runs again"))
			return lease, nil
		case !errors.Is(err, launch.ErrStopped):
			return lease, err
		case !waited:
			waited = true
			told(errors.New("the engine was stopped, and the containers go on running: waiting until another command starts it again, such as stack ps"))
		}
		if err := l.awaitStart(ctx); errors.Is(err, errAsked) {
			return launch.Start(ctx, l.target, engineProgram)
		} else if err != nil {
			return nil, err
		}
	}
}

// errAsked ends the wait for somebody else to start the engine.
var errAsked = errors.New("the user wants something that needs the engine")

func (l *life) awaitStart(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	l.mu.Lock()
	asked := l.asked
	l.mu.Unlock()
	go func() {
		select {
		case <-asked:
			cancel(errAsked)
		case <-ctx.Done():
		}
	}()
	err := launch.AwaitStart(ctx, l.target)
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// instance is another number when the engine has gone, or was reached again.
func (l *life) instance() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

func (l *life) counted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
}

// turn lets those go on who wait for the next engine.
func (l *life) turn(next chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.next)
	l.next = next
	l.count++
}

// ask starts the engine, even if it was stopped: the user wants something that needs it.
func (l *life) ask() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		return
	}
	select {
	case <-l.asked:
	default:
		close(l.asked)
	}
}

// dial connects to the engine. If there is none, and the command is one that stays, it waits for the next one.
func (l *life) dial(ctx context.Context) (net.Conn, error) {
	for {
		l.mu.Lock()
		next := l.next
		l.mu.Unlock()
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", l.target.Socket())
		if next == nil || !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// stays says that there will be another engine when this one has gone.
func (l *life) stays() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next != nil
}

// back waits until the engine is there that has gone.
func (l *life) back(ctx context.Context) error {
	if !l.stays() {
		return errGone
	}
	conn, err := l.dial(ctx)
	if err != nil {
		return errors.Join(ctx.Err(), errGone)
	}
	return conn.Close()
}

var errGone = engine.Errorf(engine.ErrUnavailable, "the engine has gone away; containers are left as they are: run the command again to go on")

// attempts bounds how often something is done again because the engine has gone in the middle of it.
const attempts = 3

// persist does it again if the engine has gone in the middle of it and is back.
func (s *session) persist(ctx context.Context, do func() error) error {
	err := do()
	for range attempts {
		if s.life == nil || !execute.Lost(err) {
			break
		}
		if gone := s.life.back(ctx); gone != nil {
			return cmp.Or(ctx.Err(), gone)
		}
		err = do()
	}
	return err
}
