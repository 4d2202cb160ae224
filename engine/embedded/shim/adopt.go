package shim

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/cgroups/manager"
	"github.com/opencontainers/runc/libcontainer"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// loadRecords reads what the predecessor left: what has stopped is known again, the rest waits to be adopted.
func (s *Shim) loadRecords() error {
	s.lost = map[string]*record{}
	entries, err := os.ReadDir(s.cfg.Dir.Containers())
	if err != nil {
		return err
	}
	for _, e := range entries {
		rec, err := s.readRecord(e.Name())
		if errors.Is(err, errNoRecord) { // so nothing else was done
			err = os.RemoveAll(s.cfg.Dir.Container(e.Name()))
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if rec.Exit == nil || rec.Request.Bound || rec.Status == creating {
			s.lost[e.Name()] = rec
			continue
		}
		c := s.revive(rec)
		c.status, c.exit = protocol.Stopped, *rec.Exit
		c.init, _ = libcontainer.Load(s.cfg.Dir.States(), c.id) // nil if its files are gone, which delete knows
		close(c.done)
		s.containers[c.id] = c
	}
	return nil
}

// revive makes a container of its record.
func (s *Shim) revive(rec *record) *container {
	return &container{
		shim: s, id: rec.Request.ID, bound: rec.Request.Bound, command: commandOf(&rec.Request), status: rec.Status, pid: rec.Pid, startTime: rec.Started,
		adopted: true, startedAt: rec.At, user: *rec.User, execs: map[string]*pidfd.Process{}, done: make(chan struct{}),
	}
}

func (s *Shim) adoptRequest(r protocol.AdoptRequest, files []*os.File) (any, error) {
	byRole, err := protocol.ByRole(r.Files, files)
	if err != nil {
		return nil, err
	}
	defer protocol.CloseAll(files)
	s.mu.Lock()
	rec := s.lost[r.ID]
	delete(s.lost, r.ID)
	s.mu.Unlock()
	if rec != nil {
		s.adopt(rec, byRole)
	}
	c, err := s.container(r.ID)
	if err != nil {
		return nil, err
	}
	state, _ := c.state()
	return state, nil
}

// adoptRest adopts what nobody kept files for, and begins to read what the adopted containers write: whoever was
// attached to them is so again.
func (s *Shim) adoptRest() {
	s.mu.Lock()
	lost := s.lost
	s.lost = nil
	s.mu.Unlock()
	for _, rec := range lost {
		s.adopt(rec, nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.containers {
		if c.stdio != nil && c.adopted {
			c.stdio.resume()
		}
	}
}

// adopt takes a container over. One that was not yet started, or whose connection is gone, is ended.
func (s *Shim) adopt(rec *record, kept map[protocol.FileRole]*os.File) {
	id := rec.Request.ID
	if rec.Status == creating || rec.Request.Bound {
		if err := s.sweep(rec); err != nil {
			fmt.Fprintf(os.Stderr, "container %s: cannot remove what is left of it: %v\n", id, err)
		}
		return
	}
	c := s.revive(rec)
	s.mu.Lock()
	s.containers[id] = c
	s.mu.Unlock()
	if err := c.adopt(rec, kept); err != nil {
		fmt.Fprintf(os.Stderr, "container %s: cannot adopt it: %v\n", id, err)
	}
}

func (c *container) adopt(rec *record, kept map[protocol.FileRole]*os.File) (err error) {
	if c.process, err = findProcess(rec, kept[protocol.FilePidfd]); err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "container %s: %v\n", c.id, err)
	}
	c.init, err = libcontainer.Load(c.shim.cfg.Dir.States(), c.id)
	var problems []error
	problems = append(problems, err)
	if c.stdio, err = reopenStdio(c.dir(), &rec.Request, kept); err == nil {
		var log Log
		log, err = c.openLog(&rec.Request)
		problems = append(problems, err)
		c.stdio.log = log
	}
	problems = append(problems, err)
	if c.process == nil {
		c.stdio.resume() // what is left in the pipes
		c.ended(pidfd.Exit(0, pidfd.ErrUnknown))
		return errors.Join(problems...)
	}
	problems = append(problems, c.bindMissing(rec.Request.Ports))
	if rec.Request.Resolver != nil {
		problems = append(problems, c.restartResolver(rec.Request.Resolver))
	}
	if c.init != nil {
		if status, err := c.init.Status(); err == nil && status == libcontainer.Paused {
			c.setStatus(protocol.Paused)
		}
	}
	if rec.Status == protocol.Created {
		_ = c.process.Signal(syscall.SIGKILL) // what told whether its command could be executed is lost
	}
	go c.awaitExit()
	return errors.Join(problems...)
}

// findProcess finds the container's first process by what was kept, or by its number. ESRCH: it is gone without a trace.
func findProcess(rec *record, kept *os.File) (*pidfd.Process, error) {
	if kept != nil {
		return pidfd.FromFile(rec.Pid, kept)
	}
	return pidfd.OpenOther(rec.Pid, rec.Started)
}

// sweep removes what is left of a container that nobody was told of.
func (s *Shim) sweep(rec *record) error {
	id := rec.Request.ID
	plan, err := s.plan(&rec.Request, "/", nil)
	if err != nil {
		return err
	}
	cg, err := manager.New(plan.config.Cgroups)
	if err != nil {
		return err
	}
	if pids, err := cg.GetAllPids(); err == nil {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return errors.Join(cg.Destroy(), s.forget(&container{shim: s, id: id}))
}
