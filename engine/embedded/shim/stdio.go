package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/drain"
)

// The FIFOs of a container without a terminal, in its directory.
const (
	fifoIn  = "in"
	fifoOut = "out"
	fifoErr = "err"
)

// stdio is the shim's side of a container's streams.
//
// A container opens its output FIFOs for reading as well, so that it is its own reader should the shim die, and neither
// gets SIGPIPE nor loses what is in the pipe. Its input cannot be kept open that way, for then it would never end; the
// engine holds a second end of it.
type stdio struct {
	mu      sync.Mutex
	console *os.File // the controlling side of a terminal; then there is nothing else
	stdin   *os.File // nil if there is none, or it was closed
	outputs map[protocol.FileRole]*output
	log     Log
	reading bool
}

// childFiles are the container's side. They are closed when it has them.
type childFiles struct{ stdin, stdout, stderr *os.File }

func (f childFiles) close() { protocol.CloseAll([]*os.File{f.stdin, f.stdout, f.stderr}) }

// newStdio makes the FIFOs of a container and opens both sides.
func newStdio(dir string, openStdin bool) (s *stdio, child childFiles, err error) {
	s = &stdio{outputs: map[protocol.FileRole]*output{}}
	defer func() {
		if err != nil {
			child.close()
			s.close()
		}
	}()
	for _, out := range []struct {
		role protocol.FileRole
		name string
		file **os.File
	}{{protocol.FileStdout, fifoOut, &child.stdout}, {protocol.FileStderr, fifoErr, &child.stderr}} {
		path := filepath.Join(dir, out.name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			return s, child, &os.PathError{Op: "mkfifo", Path: path, Err: err}
		}
		if *out.file, err = openBlocking(path, unix.O_RDWR); err != nil {
			return s, child, err
		}
		if err := s.openOutput(out.role, path); err != nil {
			return s, child, err
		}
	}
	if !openStdin {
		child.stdin, err = openBlocking(os.DevNull, unix.O_RDONLY)
		return s, child, err
	}
	child.stdin, err = s.makeStdin(filepath.Join(dir, fifoIn))
	return s, child, err
}

func (s *stdio) makeStdin(path string) (child *os.File, err error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	both, err := openBlocking(path, unix.O_RDWR) // so that the others find each other without waiting
	if err != nil {
		return nil, err
	}
	defer both.Close()
	if child, err = openBlocking(path, unix.O_RDONLY); err != nil {
		return nil, err
	}
	s.stdin, err = os.OpenFile(path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		child.Close()
		return nil, err
	}
	return child, nil
}

// openBlocking opens a file for a program that does not expect O_NONBLOCK.
func openBlocking(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func (s *stdio) openOutput(role protocol.FileRole, path string) error {
	f, err := os.OpenFile(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	s.outputs[role] = newOutput(f)
	return nil
}

// reopenStdio takes over a container's streams: the files that were kept, the FIFOs for what was not. A terminal that
// nobody kept is lost, and the container has felt it.
func reopenStdio(dir string, r *protocol.CreateRequest, kept map[protocol.FileRole]*os.File) (*stdio, error) {
	s := &stdio{outputs: map[protocol.FileRole]*output{}}
	if r.Terminal {
		if f := kept[protocol.FileConsole]; f != nil {
			return s, s.setConsole(f)
		}
		return s, nil
	}
	for role, name := range map[protocol.FileRole]string{protocol.FileStdout: fifoOut, protocol.FileStderr: fifoErr} {
		if err := s.openOutput(role, filepath.Join(dir, name)); err != nil {
			s.close()
			return nil, err
		}
	}
	if r.OpenStdin {
		f, err := os.OpenFile(filepath.Join(dir, fifoIn), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err == nil { // otherwise the container has closed it
			s.stdin = f
		}
	}
	return s, nil
}

// setConsole makes the terminal the container's only stream.
func (s *stdio) setConsole(f *os.File) error {
	console, err := drain.File(f)
	if err != nil {
		return err
	}
	s.console = console
	s.outputs[protocol.FileStdout] = newOutput(s.console)
	return nil
}

// run begins to read, and to write the log if there is one.
func (s *stdio) run(log Log) {
	s.log = log
	s.resume()
}

// resume begins to read, if nobody does yet.
func (s *stdio) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading {
		return
	}
	s.reading = true
	log := s.log
	for role, out := range s.outputs {
		var w io.WriteCloser
		if log != nil {
			w = log.Stream(string(role))
		}
		go out.run(w, log)
	}
}

// finish is called when the container has exited: it returns when everything that it wrote is in the log and was handed
// to the attached clients.
func (s *stdio) finish() error {
	for _, out := range s.outputs {
		out.end()
	}
	for _, out := range s.outputs {
		<-out.done
	}
	var err error
	if s.log != nil {
		err = s.log.Close()
	}
	s.close()
	return err
}

func (s *stdio) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.outputs {
		out.file.Close()
	}
	if s.stdin != nil {
		s.stdin.Close()
		s.stdin = nil
	}
}

// hold lists what keeps the streams alive without the shim.
func (s *stdio) hold(out *attached) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.console != nil {
		out.add(protocol.FileConsole, s.console)
		return
	}
	out.add(protocol.FileStdin, s.stdin)
	for _, role := range []protocol.FileRole{protocol.FileStdout, protocol.FileStderr} {
		if o := s.outputs[role]; o != nil {
			out.add(role, o.file)
		}
	}
}

func (c *container) closeStdin() error {
	c.stdio.mu.Lock()
	defer c.stdio.mu.Unlock()
	if c.stdio.stdin == nil {
		return nil
	}
	err := c.stdio.stdin.Close()
	c.stdio.stdin = nil
	// A successor must not open it again.
	return errors.Join(err, os.Remove(filepath.Join(c.dir(), fifoIn)))
}

// attach copies the container's output to a client's files from now on.
func (s *Shim) attach(r protocol.AttachRequest, files []*os.File) error {
	byRole, err := protocol.ByRole(r.Files, files)
	if err != nil {
		return err
	}
	c, err := s.container(r.ID)
	if err == nil {
		err = c.expect("attach to", protocol.Created, protocol.Running, protocol.Paused)
	}
	if err == nil && c.stdio == nil {
		err = protocol.Errorf(protocol.Conflict, "container %s has no streams", r.ID)
	}
	if err != nil {
		protocol.CloseAll(files)
		return err
	}
	for role, f := range byRole {
		out := c.stdio.outputs[role]
		if out == nil {
			f.Close()
			continue
		}
		cl := &client{file: f, lossless: r.Lossless, cutOff: func() { s.emit(protocol.EventCutOff, r.Ref) }}
		if err := cl.prepare(); err != nil {
			protocol.CloseAll(files)
			return fmt.Errorf("cannot attach to container %s: %w", r.ID, err)
		}
		out.add(cl)
	}
	return nil
}
