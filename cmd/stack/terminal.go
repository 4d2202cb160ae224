package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"github.com/docker/docker/api/types/container"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

// terminal is the user's terminal while a process in a container has it.
type terminal struct {
	in, out *os.File
}

// terminalOf returns the terminal behind the app's streams, or nil if input or output is something else.
func (a *app) terminalOf() *terminal {
	in, inOK := a.in.(*os.File)
	out, outOK := a.out.(*os.File)
	if !inOK || !outOK || !view.IsTerminal(in) || !view.IsTerminal(out) {
		return nil
	}
	return &terminal{in, out}
}

// raw hands every key to the process until restore is called.
func (t *terminal) raw() (restore func(), err error) {
	state, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the terminal: %w", err)
	}
	var once sync.Once
	return func() { once.Do(func() { _ = term.Restore(int(t.in.Fd()), state) }) }, nil
}

// unbuffered delivers every key at once and does not show it, until restore is called. Ctrl-C and the like are signals as
// ever, and what is written looks as ever. A crash of this program gives the terminal back, too. A shell that has had the terminal
// while this program was stopped leaves it as the shell found it, so that it is changed again.
func (t *terminal) unbuffered() (restore func(), err error) {
	fd := int(t.in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the terminal: %w", err)
	}
	changed := *before
	changed.Lflag &^= unix.ICANON | unix.ECHO
	changed.Cc[unix.VMIN], changed.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &changed); err != nil {
		return nil, fmt.Errorf("cannot prepare the terminal: %w", err)
	}
	guard := t.guard(guarded{*before, changed})
	stop := t.whenContinued(func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, &changed) })
	var once sync.Once
	return func() {
		once.Do(func() {
			stop()
			_ = unix.IoctlSetTermios(fd, unix.TCSETS, before)
			guard.release()
		})
	}, nil
}

// whenContinued calls do whenever this program was stopped and goes on in the foreground, until stop is called.
func (t *terminal) whenContinued(do func()) (stop func()) {
	continued, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(continued, unix.SIGCONT)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-continued:
				if t.foreground() {
					do()
				}
			case <-over:
				return
			}
		}
	})
	return func() {
		signal.Stop(continued)
		close(over)
		running.Wait()
	}
}

// foreground says that the terminal, if it is the one that controls this process, listens to it: a background job that
// touched it would be stopped.
func (t *terminal) foreground() bool {
	group, err := unix.IoctlGetInt(int(t.in.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}

// size is the terminal's, in characters; zero if it does not tell.
func (t *terminal) size() container.ResizeOptions {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil {
		return container.ResizeOptions{}
	}
	return container.ResizeOptions{Width: uint(width), Height: uint(height)}
}

// watchSize calls resize now and whenever the terminal's size changes, until stop is called.
func (t *terminal) watchSize(ctx context.Context, resize func(context.Context, container.ResizeOptions) error) (stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if size := t.size(); size.Width > 0 {
				// A process that has just ended has no size any more.
				_ = resize(ctx, size)
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		cancel()
		<-done
	}
}
