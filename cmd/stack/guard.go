package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminalGuard is a process that gives the terminal back if this one ends without doing so. When a goroutine panics no other one
// gets to run, whatever it has deferred; so it takes a process, which is told by the pipe to which crashes are written, or by its end.
type terminalGuard struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// guarded is how the terminal was, and how it is while somebody has it.
type guarded struct{ Before, Changed unix.Termios }

// released is what the guard is told when there is nothing to give back any more. No crash begins with it.
const released = 0

// guardFD is where the guard finds the pipe: the first descriptor after standard error.
const guardFD = 3

// guard starts the guard. Without one the terminal is used all the same: nil.
func (t *terminal) guard(g guarded) *terminalGuard {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("/proc/self/exe", guardCommand)
	cmd.Args[0] = "stack"
	cmd.Stdin, cmd.ExtraFiles = t.in, []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if cmd.Start() != nil {
		_ = w.Close()
		return nil
	}
	_ = json.NewEncoder(w).Encode(g)
	_ = debug.SetCrashOutput(w, debug.CrashOptions{})
	return &terminalGuard{w, cmd}
}

// release ends the guard.
func (g *terminalGuard) release() {
	if g == nil {
		return
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	_, _ = g.pipe.Write([]byte{released})
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}

const guardCommand = "guard-terminal"

func newGuard(a *app) *cobra.Command {
	return &cobra.Command{
		Use: guardCommand, Short: "Give the terminal back that another process leaves", Args: cobra.NoArgs, Hidden: true,
		RunE: func(*cobra.Command, []string) error {
			in, ok := a.in.(*os.File)
			if !ok {
				return fmt.Errorf("standard input is no terminal")
			}
			signal.Ignore(unix.SIGTTOU, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP)
			return standGuard(in, os.NewFile(guardFD, "guard"))
		},
	}
}

// standGuard waits for the end of the process that has the terminal. If a shell has taken the terminal meanwhile, it is the shell's.
func standGuard(tty, pipe *os.File) error {
	from := bufio.NewReader(pipe)
	line, err := from.ReadBytes('\n')
	if err != nil {
		return nil //nolint:nilerr // who started it has ended before it was said what to guard
	}
	var g guarded
	if err := json.Unmarshal(line, &g); err != nil {
		return fmt.Errorf("cannot read how the terminal was: %w", err)
	}
	if first, err := from.ReadByte(); err == nil && first == released {
		return nil
	}
	if now, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err == nil && *now == g.Changed {
		_ = unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &g.Before)
	}
	_, _ = io.Copy(io.Discard, from) // what a crash prints goes to the user, too
	return nil
}
