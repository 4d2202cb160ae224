package launch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// The engine's own requests, beside those of the Docker Engine API.
const (
	statusPath = "/_stack/status"
	holdPath   = "/_stack/hold"
)

// Status describes a running engine.
type Status struct {
	Running     bool   `json:"running"`
	PID         int    `json:"pid,omitempty"`
	Socket      string `json:"socket"`
	Version     string `json:"version,omitempty"`
	APIVersion  string `json:"apiVersion,omitempty"`
	Root        string `json:"root"`
	Run         string `json:"run"`
	Log         string `json:"log"`
	Containers  int    `json:"containers"`
	Connections int    `json:"connections"`
	Kept        int    `json:"kept"`     // projects that are kept converged
	MayLeave    bool   `json:"mayLeave"` // leaves by itself when nothing runs or is kept and nobody is connected
}

func mux(t Target, o ServeOptions, idle *idler, guest, api http.Handler) http.Handler {
	status := func(w http.ResponseWriter, _ *http.Request) {
		s := t.status()
		s.Running, s.PID, s.Version, s.APIVersion = true, os.Getpid(), o.Version, o.APIVersion
		s.Containers, s.Connections, s.Kept, s.MayLeave = idle.counts()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == statusPath && r.Method == http.MethodGet:
			status(w, r)
		case r.URL.Path == holdPath && r.Method == http.MethodPost:
			idle.hold()
			status(w, r)
		case r.URL.Path == GuestPath, strings.HasPrefix(r.URL.Path, GuestPath+"/"):
			guest.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

func (t Target) status() Status {
	return Status{Socket: t.Socket(), Root: t.Root, Run: t.Run, Log: t.LogFile()}
}

// Ask returns the status of the embedded engine without starting it.
func Ask(ctx context.Context, t Target) (Status, error) {
	lease, err := dial(ctx, t)
	if errors.Is(err, errAbsent) {
		return t.status(), nil
	}
	if err != nil {
		return t.status(), err
	}
	s := lease.status
	s.Connections-- // the one that asks
	return s, lease.Close()
}

// Hold starts the embedded engine if need be and keeps it until it is told to stop.
func Hold(ctx context.Context, t Target, program Program) error {
	lease, err := Start(ctx, t, program)
	if err != nil {
		return err
	}
	_, err = lease.ask(http.MethodPost, holdPath)
	return errors.Join(err, lease.Close())
}

// Stop ends the embedded engine and waits until its process has gone. Containers go on running. It reports whether
// there was an engine.
func Stop(ctx context.Context, t Target) (bool, error) {
	s, err := Ask(ctx, t)
	if err != nil || !s.Running {
		return false, err
	}
	fd, err := unix.PidfdOpen(s.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return true, nil
	}
	if err != nil {
		return true, fmt.Errorf("cannot watch the engine's process %d: %w", s.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return true, fmt.Errorf("cannot stop the engine's process %d: %w", s.PID, err)
	}
	return true, awaitExit(ctx, fd)
}

// awaitExit waits for a process through its pidfd. A pipe wakes the wait when the context is done.
func awaitExit(ctx context.Context, pidfd int) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = w.Close() })
	defer func() {
		if stop() {
			_ = w.Close()
		}
	}()
	for {
		fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(r.Fd()), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for the engine's process: %w", err)
		}
		if fds[0].Revents != 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// peer returns the process that listens at the other end.
func peer(c *net.UnixConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}
