package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/cmd/stack/internal/view"
)

// menuText is the line below the output, with every key that does something.
const menuText = "d: leave the containers running and return   Ctrl-C: stop them"

// menuFlags say whether there are keys while up stays.
type menuFlags struct{ menu bool }

func (o *menuFlags) declareMenu(a *app, cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.menu, "menu", a.presetBool("COMPOSE_MENU"), "Show the keys that do something below the output, on a terminal: d leaves the containers running and returns")
}

// menu reads keys while up stays. Its zero value has none.
type menu struct {
	detached <-chan struct{} // closed by the key d; nil without a menu
	end      func()
}

// close gives the terminal back. To do so more than once is no mistake.
func (m *menu) close() {
	if m.end != nil {
		m.end()
	}
}

// openMenu shows the menu until it is closed or the context ends, if it was asked for and there is a terminal to read from
// and to write to. From then on what is written to the app's streams stands above it.
func (a *app) openMenu(ctx context.Context, o menuFlags) (menu, error) {
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
	bottom.Show(menuText)
	var once sync.Once
	end := func() {
		once.Do(func() {
			bottom.Show("")
			restore()
			_ = wake.Close()
		})
	}
	stop := context.AfterFunc(ctx, end)
	detached := make(chan struct{})
	go func() {
		defer end()
		defer wakeUp.Close()
		if awaitKey(t.in, wakeUp, 'd') {
			close(detached)
		}
	}()
	return menu{detached, func() { stop(); end() }}, nil
}

// awaitKey reads keys until it is this one, or until the other end of wakeUp is closed or the terminal has gone; then it is
// false.
func awaitKey(in, wakeUp *os.File, want byte) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}, {Fd: int32(wakeUp.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return false
		}
		if fds[1].Revents != 0 {
			return false
		}
		var key [1]byte
		if n, err := unix.Read(int(in.Fd()), key[:]); n != 1 || err != nil {
			return false
		}
		if key[0] == want {
			return true
		}
	}
}
