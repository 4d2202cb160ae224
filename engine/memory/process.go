package memory

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Exit codes of what was not executed or was killed, as shells and Docker have them.
const (
	notExecutable = 126
	notFound      = 127
	killedCode    = 128 + int(syscall.SIGKILL)
)

// Program is a command that containers can run. It returns the exit code. It ends soon when p.Killed is closed; what it
// returns then does not count.
type Program func(p *Process) int

// Process is what a program sees of its container.
type Process struct {
	Args           []string // with the program's name
	Env            map[string]string
	Dir            string
	UID            int
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	// Signals delivers the signals but SIGKILL. What is not read is ignored, as by the first process of a container.
	Signals <-chan syscall.Signal
	// Killed is closed by SIGKILL.
	Killed <-chan struct{}

	files   *vfs
	box     *sandbox
	host    string    // the container's host name
	screen  *terminal // its own; nil without one
	console *terminal // the container's, as /dev/console
	engine  *Engine
	jobs    *sync.WaitGroup // everything that runs in the container's name
	control *control
}

// control is the other end of a process's signals.
type control struct {
	signals chan syscall.Signal
	killed  chan struct{}
	once    sync.Once
}

func newControl() *control {
	return &control{signals: make(chan syscall.Signal, 16), killed: make(chan struct{})}
}

func (c *control) send(sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		c.once.Do(func() { close(c.killed) })
		return
	}
	select {
	case c.signals <- sig:
	default: // nobody reads them
	}
}

func (c *control) isKilled() bool {
	select {
	case <-c.killed:
		return true
	default:
		return false
	}
}

// lookup finds the program that args name in the container's files. The error says why there is none and the number is
// the exit code.
func (p *Process) lookup(args []string) (Program, int, error) {
	if len(args) == 0 || args[0] == "" {
		return nil, notFound, errors.New("no command specified")
	}
	name := args[0]
	if !strings.Contains(name, "/") {
		found := false
		for _, dir := range strings.Split(p.Env["PATH"], ":") {
			if n, _, err := p.files.stat(path.Join("/", dir, name)); err == nil && n.mode.IsRegular() {
				name, found = path.Join("/", dir, name), true
				break
			}
		}
		if !found {
			return nil, notFound, fmt.Errorf("exec: %q: executable file not found in $PATH", args[0])
		}
	}
	n, _, err := p.files.stat(p.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notFound, fmt.Errorf("exec: %q: stat %s: no such file or directory", args[0], name)
	case err != nil:
		return nil, notExecutable, err
	case !n.mode.IsRegular() || n.mode.Perm()&0o111 == 0:
		return nil, notExecutable, fmt.Errorf("exec: %q: permission denied", args[0])
	}
	program, ok := p.engine.programs[path.Base(name)]
	if !ok {
		return nil, notExecutable, fmt.Errorf("exec: %q: exec format error", args[0])
	}
	return program, 0, nil
}

// path makes a path absolute.
func (p *Process) path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(p.Dir, name)
}

// call runs a command in the foreground and returns its exit code.
func (p *Process) call(args []string) int {
	program, code, err := p.lookup(args)
	if err != nil {
		fmt.Fprintf(p.Stderr, "sh: %v\n", err)
		return code
	}
	child := *p
	child.Args = args
	return child.run(program)
}

func (p *Process) run(program Program) int {
	code := program(p)
	if p.control.isKilled() {
		return killedCode
	}
	return code
}

// Sleep returns false if the process was killed meanwhile.
func (p *Process) Sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.Killed:
		return false
	}
}

// failed prints what went wrong as commands do, and returns 1.
func (p *Process) failed(err error) int {
	var onPath *fs.PathError
	if errors.As(err, &onPath) {
		err = fmt.Errorf("%s: %w", onPath.Path, onPath.Err)
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", path.Base(p.Args[0]), err)
	return 1
}

// environ reads NAME=value lists, the later ones winning. A name alone takes the variable away.
func environ(lists ...[]string) map[string]string {
	env := map[string]string{}
	for _, entry := range slices.Concat(lists...) {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		} else {
			delete(env, name)
		}
	}
	return env
}
