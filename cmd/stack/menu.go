package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

// menuText is the line below the output, with every key that does something.
func menuText(watching bool) string {
	if watching {
		return "w: stop watching   d: leave the containers running and return   Ctrl-C: stop"
	}
	return "w: watch files   d: leave the containers running and return   Ctrl-C: stop them"
}

// menuFlags say whether there are keys while up stays.
type menuFlags struct{ menu bool }

func (o *menuFlags) declareMenu(a *app, cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.menu, "menu", a.presetBool("COMPOSE_MENU"), "Show the keys that do something below the output, on a terminal: d leaves the containers running and returns, w switches --watch on and off")
}

// menu reads keys while up stays. Its zero value has none.
type menu struct {
	keys  <-chan byte         // those that mean something, one after the other; nil without a menu
	shows func(watching bool) // whether files are watched by now
	end   func()
}

// show says whether files are watched by now.
func (m *menu) show(watching bool) {
	if m.shows != nil {
		m.shows(watching)
	}
}

// close gives the terminal back. To do so more than once is no mistake.
func (m *menu) close() {
	if m.end != nil {
		m.end()
	}
}

// openMenu shows the menu until it is closed or the context ends, if it was asked for and there is a terminal to read from
// and to write to. From then on what is written to the app's streams stands above it.
func (a *app) openMenu(ctx context.Context, o menuFlags, watching bool) (menu, error) {
	t := a.terminalOf()
	if !o.menu || t == nil || !t.foreground() {
		return menu{}, nil
	}
	restore, err := t.unbuffered()
	if err != nil {
		return menu{}, err
	}
	wakeUp, wake, err := os.Pipe()
	if err != nil {
		restore()
		return menu{}, fmt.Errorf("cannot read keys: %w", err)
	}
	bottom := view.NewBottom(t.out)
	a.out = bottom.Above(a.out)
	if view.IsTerminal(a.err) {
		a.err = bottom.Above(a.err)
	}
	line := &menuLine{bottom: bottom}
	m := menu{shows: line.show}
	m.show(watching)
	closed := make(chan struct{})
	var once sync.Once
	end := func() {
		once.Do(func() {
			close(closed)
			line.close()
			restore()
			_ = wake.Close()
		})
	}
	stop := context.AfterFunc(ctx, end)
	pressed, over := make(chan byte), make(chan struct{})
	m.keys = pressed
	m.end = func() {
		stop()
		end()
		<-over // nobody reads the terminal any more
	}
	go func() {
		defer close(over)
		defer end()
		defer wakeUp.Close()
		for key := range keys(t.in, wakeUp) {
			if key != detachKey && key != watchKey {
				continue
			}
			select {
			case pressed <- key:
			case <-closed:
				return
			}
		}
	}()
	return m, nil
}

// The keys that mean something.
const (
	detachKey = 'd'
	watchKey  = 'w'
)

// menuLine is the line of the menu, until it is closed.
type menuLine struct {
	mu     sync.Mutex
	bottom *view.Bottom
	closed bool
}

func (l *menuLine) show(watching bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.bottom.Show(menuText(watching))
	}
}

func (l *menuLine) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.bottom.Show("")
}

// keys are those that are pressed, until the other end of wakeUp is closed or the terminal has gone.
func keys(in, wakeUp *os.File) iter.Seq[byte] {
	return func(yield func(byte) bool) {
		for {
			fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}, {Fd: int32(wakeUp.Fd()), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err != nil {
				if errors.Is(err, unix.EINTR) {
					continue
				}
				return
			}
			if fds[1].Revents != 0 {
				return
			}
			var key [1]byte
			if n, err := unix.Read(int(in.Fd()), key[:]); n != 1 || err != nil {
				return
			}
			if !yield(key[0]) {
				return
			}
		}
	}
}
