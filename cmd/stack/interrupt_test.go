package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/engine/memory"
)

// slowDown makes operations of the engine take a second, as ENGINE_SLOW says: OPERATION PATTERN, and more of them after commas.
func slowDown(e *memory.Engine) {
	for _, text := range strings.Split(os.Getenv("ENGINE_SLOW"), ",") {
		if op, match, ok := strings.Cut(text, " "); ok {
			e.Inject(memory.Fault{Op: op, Match: match, Delay: time.Second})
		}
	}
}

// interrupt runs a program and interrupts it at the first line that matches, on whichever of its streams, and again at the first
// line after that which matches the next pattern. What it printed and its exit code are in the file "interrupted" afterwards.
//
//	interrupt CODE PATTERN... -- PROGRAM ARGUMENTS
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	end := 0
	for end < len(args) && args[end] != "--" {
		end++
	}
	if neg || end < 2 || end+1 >= len(args) {
		ts.Fatalf("usage: interrupt CODE PATTERN... -- PROGRAM ARGUMENTS")
	}
	r, w, err := os.Pipe()
	ts.Check(err)
	cmd := exec.Command(args[end+1], args[end+2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), w, w
	for _, name := range []string{"PATH", "HOME", "STACK_ROOT", "STACK_RUN", "STACK_IDLE", "ENGINE_SLOW", "COMPOSE_FILE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if path, err := exec.LookPath(args[end+1]); err == nil {
		cmd.Path = path
	}
	ts.Check(errors.Join(cmd.Start(), w.Close()))
	text := interruptAt(cmd.Process, r, args[1:end])
	_ = cmd.Wait()
	code := cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal()) // as shells say it
	}
	ts.Logf("%sexit code %d", text, code)
	ts.Check(os.WriteFile(ts.MkAbs("interrupted"), []byte(text), 0o600))
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("the exit code is %d, want %s", code, args[0])
	}
}

func interruptAt(p *os.Process, r io.Reader, patterns []string) string {
	var text strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if len(patterns) > 0 && regexp.MustCompile(patterns[0]).MatchString(lines.Text()) {
			patterns = patterns[1:]
			_ = p.Signal(os.Interrupt)
		}
	}
	return text.String()
}
