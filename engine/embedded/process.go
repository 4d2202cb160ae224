package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/container"
)

// What the kernel has of a container's process is reached by the container's ID and never by a recorded number: when the process
// has ended, its number may be another one's before anybody here knows.

// processRoot opens the root directory of the container's process. ErrConflict: it has ended.
func (e *Engine) processRoot(id string) (*os.File, error) {
	return e.runtime.OpenProc(id, "root", unix.O_PATH|unix.O_DIRECTORY)
}

// openNetwork opens the network namespace of the container's process. fs.ErrNotExist: it has ended.
func (e *Engine) openNetwork(id string) (*os.File, error) {
	netns, err := e.runtime.OpenProc(id, "ns/net", os.O_RDONLY)
	if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return netns, err
}

// join opens a namespace of a container that runs, which the attempt's container is going to share, and returns a path that leads
// there until the attempt is over. The files are held open meanwhile, so that the path means nothing else.
func (a *attempt) join(ref, namespace, what string) (path string, other container.Record, err error) {
	other, err = a.engine.running(ref, what)
	if err != nil {
		return "", other, err
	}
	file, err := a.engine.runtime.OpenProc(other.ID, "ns/"+namespace, os.O_RDONLY)
	if errors.Is(err, engine.ErrConflict) || errors.Is(err, engine.ErrNotFound) {
		return "", other, engine.Errorf(engine.ErrConflict, "cannot join the %s of container %s: it does not run", what, other.Name)
	}
	if err != nil {
		return "", other, fmt.Errorf("cannot join the %s of container %s: %w", what, other.Name, err)
	}
	a.joined = append(a.joined, file)
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd()), other, nil
}
