package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/runtime/footprint"
	"stackrun.dev/stack/engine/embedded/shim/protocol"
	"stackrun.dev/stack/engine/embedded/shim/protocol/pidfd"
)

// sealedProgram puts the shim's program into memory that nobody can write, not even a container that gets hold of it.
func sealedProgram() (*os.File, error) {
	content, err := binary.Open("binary/stack-shim")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot run containers: this build has no shim; build it with make build")
	}
	if err != nil {
		return nil, err
	}
	defer content.Close()
	const exec = 0x10 // MFD_EXEC, since Linux 6.3; before, every memfd is executable
	fd, err := unix.MemfdCreate("stack-shim", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|exec)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("stack-shim", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "stack-shim")
	if _, err = io.Copy(f, content); err == nil {
		err = f.Chmod(0o511)
	}
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot load the shim: %w", err)
	}
	_ = footprint.ForgetProgram() // the copy is enough; that both are in memory does no other harm
	return f, nil
}

// launch starts a shim for the group, in a session and a mount namespace of its own, and connects to it.
func (r *Runtime) launch(group string) (*protocol.Conn, error) {
	program, err := r.program()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(r.opts.RunDir, "shim.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	conn, socket, err := protocol.Pair()
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	// Whatever was open when the engine was started must not stay open as long as the containers run.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) {
		conn.Close()
		return nil, os.NewSyscallError("close_range", err)
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/fd/4", // the second of the files, which keep their order
		Args: []string{
			"stack-shim", string(protocol.GroupDir(r.opts.RunDir, group)), filepath.Join(r.opts.StateDir, "seccomp"), group,
		},
		Env:         []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "GOMAXPROCS=2"},
		Dir:         "/",
		Stderr:      log,
		ExtraFiles:  []*os.File{socket, program},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS},
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("cannot start a shim: %w", err)
	}
	go reapShim(cmd)
	return conn, nil
}

// reapShim waits for the shim without a thread.
func reapShim(cmd *exec.Cmd) {
	p, err := pidfd.Open(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Wait()
		return
	}
	defer p.Close()
	_, _ = p.Wait()
	_ = cmd.Process.Release()
}

// connect finds the group's shim or starts one.
func (r *Runtime) connect(group string) (conn *protocol.Conn, fresh bool, err error) {
	conn, err = protocol.GroupDir(r.opts.RunDir, group).Dial()
	if err == nil {
		return conn, false, nil
	}
	conn, err = r.launch(group)
	return conn, true, err
}
