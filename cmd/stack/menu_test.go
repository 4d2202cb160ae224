package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const keyed = "name: keys\nservices:\n  web:\n    image: busybox\n    command: [sh, -c, 'echo says; exec sleep 1000']\n    stop_grace_period: 0s\n"

// newTerminal is a terminal, and the end from which a user types and reads.
func newTerminal(t *testing.T) (user, tty *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return user, tty
}

func termios(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *state
}

// seen reads what the terminal shows until it matches, and goes on reading so that nobody who writes has to wait.
func seen(t *testing.T, user *os.File, pattern string) (string, <-chan string) {
	t.Helper()
	want, text := regexp.MustCompile(pattern), ""
	buf := make([]byte, 4096)
	for !want.MatchString(text) {
		n, err := user.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q, which does not match %q", err, text, pattern)
		}
		text += string(buf[:n])
	}
	rest := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(user)
		rest <- string(all)
	}()
	return text, rest
}

func TestMenu(t *testing.T) {
	for name, c := range map[string]struct {
		act   func(user *os.File, interrupt func())
		code  int
		state string
	}{
		"d leaves the containers": {func(user *os.File, _ func()) { _, _ = user.WriteString("xd") }, 0, "running"},
		"an interrupt stops them": {func(_ *os.File, interrupt func()) { interrupt() }, exitInterrupted, "exited"},
		"other keys mean nothing": {func(user *os.File, interrupt func()) { _, _ = user.WriteString("Wqv\x1b[A"); interrupt() }, exitInterrupted, "exited"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := inProcess(t, keyed)
			user, tty := newTerminal(t)
			before := termios(t, tty)
			a.in, a.out, a.err = tty, tty, tty
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			done := make(chan int, 1)
			file := a.global.files[0]
			go func() { done <- run(ctx, []string{"-f", file, "up", "--menu"}, a) }()
			_, rest := seen(t, user, `(?s)says\r\n.*`+regexp.QuoteMeta(menuText(false)))
			if now := termios(t, tty); now.Lflag&(unix.ICANON|unix.ECHO) != 0 || now.Lflag&unix.ISIG == 0 {
				t.Errorf("the terminal's flags are %o", now.Lflag)
			}
			c.act(user, interrupt)
			if code := <-done; code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if after := termios(t, tty); after != before {
				t.Errorf("the terminal is left as %+v, it was %+v", after, before)
			}
			tty.Close()
			if text := <-rest; !strings.Contains(text, "\r\x1b[K") || strings.HasSuffix(text, menuText(false)) {
				t.Errorf("the menu is still there: %q", text)
			}
			var out strings.Builder
			a.in, a.out, a.err = strings.NewReader(""), &out, io.Discard
			if run(t.Context(), []string{"-f", file, "ps", "-a", "--format", "{{.State}}"}, a); out.String() != c.state+"\n" {
				t.Errorf("the container is %q, want %q", out.String(), c.state)
			}
		})
	}
}

// Without a terminal on both sides, or without the flag, there is no menu and the streams stay what they are.
func TestMenuNeedsATerminal(t *testing.T) {
	_, tty := newTerminal(t)
	for name, a := range map[string]*app{
		"no input":  {in: strings.NewReader("d"), out: tty, err: tty},
		"no output": {in: tty, out: io.Discard, err: tty},
		"no flag":   {in: tty, out: tty, err: tty},
	} {
		out := a.out
		m, err := a.openMenu(t.Context(), menuFlags{menu: name != "no flag"}, false)
		if err != nil || m.keys != nil || a.out != out {
			t.Errorf("%s: %+v, %v, output %v", name, m, err, a.out)
		}
		m.close()
	}
}

// Keys are delivered at once again when the program goes on after Ctrl-Z: the shell has changed the terminal meanwhile.
func TestMenuAfterAStop(t *testing.T) {
	_, tty := newTerminal(t)
	before := termios(t, tty)
	a := &app{in: tty, out: tty, err: tty}
	m, err := a.openMenu(t.Context(), menuFlags{menu: true}, false)
	if err != nil || m.keys == nil {
		t.Fatalf("no menu: %v", err)
	}
	defer m.close()
	changed := termios(t, tty)
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(os.Getpid(), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, func() bool { return termios(t, tty) == changed })
	m.close()
	if after := termios(t, tty); after != before {
		t.Errorf("the terminal is %+v, and was %+v", after, before)
	}
}

// A panic, too, leaves the terminal as it was.
func TestMenuGivesTheTerminalBack(t *testing.T) {
	_, tty := newTerminal(t)
	before := termios(t, tty)
	failed := errors.New("a fault of the program")
	func() {
		defer func() {
			if recover() != failed {
				t.Error("the panic did not come through")
			}
		}()
		a := &app{in: tty, out: tty, err: tty}
		m, err := a.openMenu(t.Context(), menuFlags{menu: true}, false)
		if err != nil || m.keys == nil {
			t.Fatalf("no menu: %v", err)
		}
		defer m.close()
		panic(failed)
	}()
	if after := termios(t, tty); after != before {
		t.Errorf("the terminal is left as %+v, it was %+v", after, before)
	}
}
