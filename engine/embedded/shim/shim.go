package shim

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/filter"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/spread"
	"stackrun.dev/stack/engine/embedded/shim/resolver"
)

// Log keeps what a container writes.
type Log interface {
	Stream(name string) io.WriteCloser // "stdout" or "stderr"
	Flush() error
	Close() error
}

// Config is what a shim is started with.
type Config struct {
	Dir    protocol.Dir
	Group  string
	Self   *os.File // this program
	Cache  string   // a directory for compiled seccomp filters
	NewLog func(protocol.LogConfig) (Log, error)
}

// Shim is the state of the process. Its methods may be called from several goroutines.
type Shim struct {
	cfg     Config
	lock    *os.File
	filters *filter.Cache
	names   *resolver.Table

	// starts is held for reading while libcontainer has children of its own, which must not be reaped under its feet.
	starts sync.RWMutex

	mu         sync.Mutex
	containers map[string]*container
	lost       map[string]*record // of the predecessor, until they are adopted
	conns      map[*conn]struct{}
	quitting   bool
	quit       chan struct{}
}

// Run is the shim's life. first is the connection that the engine prepared. It returns when there is neither a
// container that runs nor a connection.
func Run(cfg Config, first *os.File) error {
	s, err := start(cfg)
	if err != nil {
		return err
	}
	listener, err := cfg.Dir.Listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	c, err := protocol.FileConn(first)
	if err != nil {
		return err
	}
	s.serve(c)
	go s.accept(listener)
	go s.reapOrphansForever()
	<-s.quit
	return s.cleanUp()
}

func start(cfg Config) (*Shim, error) {
	s := &Shim{
		cfg: cfg, filters: filter.NewCache(cfg.Cache),
		containers: map[string]*container{}, conns: map[*conn]struct{}{}, quit: make(chan struct{}),
	}
	var err error
	if s.lock, err = takeLock(cfg.Dir); err != nil {
		return nil, err
	}
	if err := isolate(); err != nil {
		return nil, err
	}
	for _, dir := range []string{cfg.Dir.Containers(), cfg.Dir.States()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		spread.Below(dir)
	}
	if err := writeFile(cfg.Dir.Group(), []byte(cfg.Group)); err != nil {
		return nil, err
	}
	if err := writeFile(cfg.Dir.Pid(), fmt.Append(nil, os.Getpid())); err != nil {
		return nil, err
	}
	if s.names, err = resolver.OpenTable(cfg.Dir.Names()); err != nil {
		return nil, err
	}
	return s, s.loadRecords()
}

// takeLock makes the directory and waits until no other shim is in charge of it. One that was may have removed the
// directory at its end; then there is another one to make.
func takeLock(dir protocol.Dir) (*os.File, error) {
	for {
		if err := os.MkdirAll(string(dir), 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(dir.Lock(), os.O_RDWR|os.O_CREATE, 0o600)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for err = unix.EINTR; errors.Is(err, unix.EINTR); {
			err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		}
		if err != nil {
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: dir.Lock(), Err: err}
		}
		if isAt(f, dir.Lock()) {
			return f, nil
		}
		f.Close()
	}
}

// isAt tells whether the file is the one at path.
func isAt(f *os.File, path string) bool {
	here, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(here, there)
}

// isolate keeps this process's mounts from being seen outside (the engine gave it a mount namespace), makes orphans of
// the containers its children, and tells the kernel to spare it: its containers would lose their log.
func isolate() error {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-998"), 0) // forbidden to the unprivileged, and only a wish
	unix.Umask(0o022)
	heedSignals()
	return nil
}

// cleanUp leaves nothing behind but the records of stopped containers.
func (s *Shim) cleanUp() error {
	if len(s.containers) > 0 {
		return nil
	}
	return os.RemoveAll(string(s.cfg.Dir))
}

// maybeQuit ends the shim if nobody needs it. The caller does not hold s.mu.
func (s *Shim) maybeQuit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quitting || len(s.conns) > 0 || len(s.lost) > 0 {
		return
	}
	for _, c := range s.containers {
		if !c.stopped() {
			return
		}
	}
	s.quitting = true
	close(s.quit)
}

// container finds a container.
func (s *Shim) container(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[id]
	if c == nil {
		return nil, protocol.Errorf(protocol.NotFound, "container %s does not exist", id)
	}
	return c, nil
}

// emit pushes an event to every engine.
func (s *Shim) emit(event protocol.Method, body any) {
	s.mu.Lock()
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		if c.greeted {
			conns = append(conns, c)
		}
	}
	s.mu.Unlock()
	raw, err := protocol.Encode(body)
	if err != nil {
		return
	}
	for _, c := range conns {
		_ = c.Send(protocol.Message{Method: event, Body: raw}) // a dead connection is noticed by its reader
	}
}

// writeFile replaces a file as a whole: after a crash there is the old one or the new one.
func writeFile(path string, content []byte) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
