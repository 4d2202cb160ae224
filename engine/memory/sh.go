package memory

import (
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// shell is a running script.
type shell struct {
	*Process
	traps   map[syscall.Signal]string
	last    int // exit code of the last command
	jobs    sync.WaitGroup
	exiting bool
}

// runShell is the program sh.
func runShell(p *Process) int {
	s := &shell{Process: p, traps: map[syscall.Signal]string{}}
	child := *p
	child.Env = maps.Clone(p.Env)
	s.Process = &child
	if len(p.Args) >= 3 && p.Args[1] == "-c" {
		s.script(p.Args[2])
		return s.last
	}
	input, err := io.ReadAll(p.Stdin)
	if err != nil {
		return p.failed(err)
	}
	s.script(string(input))
	return s.last
}

func (s *shell) script(text string) {
	statements, err := parse(text)
	if err != nil {
		fmt.Fprintf(s.Stderr, "sh: %v\n", err)
		s.last = 2
		return
	}
	skip := false
	for _, st := range statements {
		if !skip {
			s.statement(st)
			s.handleSignals()
		}
		if s.exiting || s.control.isKilled() {
			return
		}
		skip = st.then == "&&" && s.last != 0 || st.then == "||" && s.last == 0
	}
}

func (s *shell) statement(st statement) {
	var args []string
	for _, w := range st.words {
		if text, ok := w.expand(s.value); ok {
			args = append(args, text)
		}
	}
	p := *s.Process
	if err := s.redirect(&p, st.redirects); err != nil {
		p.Args = []string{"sh"}
		s.last = p.failed(err)
		return
	}
	if len(args) == 0 {
		return
	}
	if st.then == "&" {
		s.background(p, args)
		return
	}
	s.last = s.command(&p, args)
}

func (s *shell) background(p Process, args []string) {
	p.Stdin = strings.NewReader("")
	s.Process.jobs.Add(1)
	s.jobs.Add(1)
	go func() {
		defer s.Process.jobs.Done()
		defer s.jobs.Done()
		p.call(args)
	}()
	s.last = 0
}

// command runs a builtin or a program.
func (s *shell) command(p *Process, args []string) int {
	if name, value, ok := strings.Cut(args[0], "="); ok && len(args) == 1 {
		s.Env[name] = value
		return 0
	}
	switch args[0] {
	case "exit":
		s.exiting = true
		if len(args) > 1 {
			code, _ := strconv.Atoi(args[1])
			return code & 0xff
		}
		return s.last
	case "trap":
		return s.trap(p, args[1:])
	case "wait":
		return s.wait()
	case "cd":
		if len(args) > 1 {
			s.Dir = s.path(args[1])
		}
		return 0
	case "export", "set", ":":
		return 0
	case "exec":
		s.exiting = true
		return p.call(args[1:])
	}
	return p.call(args)
}

var signalNames = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL, "USR1": syscall.SIGUSR1,
	"USR2": syscall.SIGUSR2, "PIPE": syscall.SIGPIPE, "ALRM": syscall.SIGALRM, "TERM": syscall.SIGTERM, "CHLD": syscall.SIGCHLD,
	"CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP, "WINCH": syscall.SIGWINCH,
}

// parseSignal reads "TERM", "SIGTERM" or "15".
func parseSignal(text string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return syscall.Signal(n), n > 0 && n < 65
	}
	sig, ok := signalNames[strings.TrimPrefix(strings.ToUpper(text), "SIG")]
	return sig, ok
}

func (s *shell) trap(p *Process, args []string) int {
	if len(args) < 2 {
		return 0
	}
	for _, name := range args[1:] {
		sig, ok := parseSignal(name)
		if !ok {
			fmt.Fprintf(p.Stderr, "trap: %s: invalid signal specification\n", name)
			return 1
		}
		s.traps[sig] = args[0]
	}
	return 0
}

// wait waits for the jobs or for a signal that has a trap.
func (s *shell) wait() int {
	done := make(chan struct{})
	go func() {
		s.jobs.Wait()
		close(done)
	}()
	for {
		select {
		case <-done:
			return 0
		case <-s.Killed:
			return killedCode
		case sig := <-s.Signals:
			if s.signal(sig) {
				return s.last
			}
		}
	}
}

// handleSignals runs the traps of what came while a command ran.
func (s *shell) handleSignals() {
	for {
		select {
		case sig := <-s.Signals:
			s.signal(sig)
		default:
			return
		}
	}
}

// signal runs the trap of a signal, if there is one.
func (s *shell) signal(sig syscall.Signal) bool {
	action, ok := s.traps[sig]
	if !ok {
		return false
	}
	s.script(action)
	return true
}

func (s *shell) value(name string) string {
	switch name {
	case "?":
		return strconv.Itoa(s.last)
	case "$":
		return "1"
	}
	return s.Env[name]
}

// redirect connects the streams of a command.
func (s *shell) redirect(p *Process, all []redirect) error {
	for _, r := range all {
		target, _ := r.target.expand(s.value)
		var err error
		switch {
		case r.op == ">&":
			to := map[string]io.Writer{"1": p.Stdout, "2": p.Stderr}[target]
			err = p.output(r.stream, to)
		case r.op == "<":
			p.Stdin, err = p.open(target)
		case target == "/dev/null":
			err = p.output(r.stream, io.Discard)
		default:
			file := &fileWriter{files: p.files, name: p.path(target)}
			if err = file.begin(r.op == ">>", p.UID); err == nil {
				err = p.output(r.stream, file)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *Process) output(stream int, to io.Writer) error {
	if to == nil {
		return fmt.Errorf("bad file descriptor")
	}
	if stream == 2 {
		p.Stderr = to
	} else {
		p.Stdout = to
	}
	return nil
}

// open reads a file; the terminal is a device.
func (p *Process) open(name string) (io.Reader, error) {
	switch name {
	case "/dev/null":
		return strings.NewReader(""), nil
	case "/dev/console", "/dev/tty":
		return console{p.console}, nil
	}
	n, _, err := p.files.stat(p.path(name))
	if err != nil {
		return nil, err
	}
	return strings.NewReader(string(n.data)), nil
}

// console is the container's terminal, opened by its name.
type console struct{ *terminal }

func (console) Read([]byte) (int, error) { return 0, io.EOF }

// fileWriter writes a file.
type fileWriter struct {
	files *vfs
	name  string
	file  node
}

func (f *fileWriter) begin(appending bool, uid int) error {
	f.file = node{mode: 0o644, uid: uid, gid: uid}
	if old, _, err := f.files.stat(f.name); err == nil {
		f.file = old
		if !appending {
			f.file.data = nil
		}
	}
	return f.files.put(f.name, f.file)
}

// Write implements io.Writer. Readers see what was written so far.
func (f *fileWriter) Write(data []byte) (int, error) {
	f.file.data = append(f.file.data[:len(f.file.data):len(f.file.data)], data...)
	if err := f.files.put(f.name, f.file); err != nil {
		return 0, err
	}
	return len(data), nil
}
