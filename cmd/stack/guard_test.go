package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crashVariable has a process of this test open a menu and end in the way it says.
const crashVariable = "STACK_TEST_CRASH"

// TestCrashWithMenu: however a command with a menu ends, the terminal is as it was.
func TestCrashWithMenu(t *testing.T) {
	if how := os.Getenv(crashVariable); how != "" {
		crash(t, how)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"panic", "kill", "exit"} {
		t.Run(how, func(t *testing.T) {
			user, tty := newTerminal(t)
			before := termios(t, tty)
			// A shell that has the terminal, as that of a user; it stays until it gets a line.
			cmd := exec.Command("sh", "-c", `"$0" -test.run='^TestCrashWithMenu$' && echo succeeded; echo ended; read line`, self)
			cmd.Env = append(os.Environ(), crashVariable+"="+how, "TMPDIR="+t.TempDir()) // it leaves what it has there
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			text, _ := seen(t, user, `ended\r?\n`)
			if strings.Contains(text, "succeeded") || how == "panic" && !strings.Contains(text, "panic: a fault of the program") {
				t.Errorf("it did not crash, or said nothing: %q", text)
			}
			waitUntil(t, func() bool { return termios(t, tty) == before })
			if _, err := user.WriteString("\n"); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// crash is that process.
func crash(t *testing.T, how string) {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	m, err := a.openMenu(t.Context(), menuFlags{menu: true}, false)
	if err != nil || m.keys == nil {
		t.Fatalf("no menu: %v", err)
	}
	if now := termios(t, os.Stdin); now.Lflag&unix.ICANON != 0 {
		t.Fatal("the terminal was not changed")
	}
	switch how {
	case "panic":
		go func() { panic("a fault of the program") }()
	case "kill":
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	case "exit":
		os.Exit(7)
	}
	select {}
}

// waitUntil waits for what another process is about to do, which nothing tells.
func waitUntil(t *testing.T, so func() bool) {
	t.Helper()
	late := time.Now().Add(30 * time.Second)
	for !so() {
		if time.Now().After(late) {
			t.Fatal("it did not come to that")
		}
		time.Sleep(time.Millisecond)
	}
}
