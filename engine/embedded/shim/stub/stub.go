// Package stub is the last step before a container's command, and a container's PID 1 if it wants a small one.
//
// libcontainer compiles the seccomp filter anew in every process that it starts, which takes longer than everything
// else together. So libcontainer gets no filter and executes, instead of the command, this very program again; the stub,
// in C and run before Go's runtime starts, loads the compiled filter, lays down the capabilities that this took, and
// executes the command. It tells exactly why a command could not be executed.
//
// A program that links this package is such a stub when it is executed as Path.
package stub

// static void *keep(void) { return 0; }
import "C"

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Path is the first argument of a process that is to be a stub. The further ones are the command. The process gets
// three files besides its streams, in this order: the program, the configuration, the end of a pipe for the Report.
const Path = "/proc/self/fd/3"

// Instruction is one of a filter, struct sock_filter of linux/filter.h.
type Instruction struct {
	Code   uint16
	Jt, Jf uint8
	K      uint32
}

// Capabilities are sets of capabilities; bit n is the capability of number n.
type Capabilities struct {
	DropBounding                               uint64 // taken out of the bounding set
	Effective, Permitted, Inheritable, Ambient uint64
}

// Config is what a stub does before it executes the command.
type Config struct {
	Filter       []Instruction
	FilterFlags  uint32        // SECCOMP_FILTER_FLAG_ of linux/seccomp.h
	Capabilities *Capabilities // nil leaves them as they are
	Init         bool          // stay, as PID 1
}

const (
	magic    = 0x73746b32
	flagCaps = 1
	flagInit = 2
)

func (c Config) encode() []byte {
	caps, flags := c.Capabilities, uint32(0)
	if caps == nil {
		caps = &Capabilities{}
	} else {
		flags |= flagCaps
	}
	if c.Init {
		flags |= flagInit
	}
	var b bytes.Buffer
	for _, v := range []any{
		uint32(magic), flags,
		caps.DropBounding, caps.Effective, caps.Permitted, caps.Inheritable, caps.Ambient,
		uint32(len(c.Filter)), c.FilterFlags,
		c.Filter,
	} {
		_ = binary.Write(&b, binary.NativeEndian, v)
	}
	return b.Bytes()
}

// File puts the configuration into memory that nobody can change any more.
func (c Config) File() (*os.File, error) {
	fd, err := unix.MemfdCreate("stub", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "stub")
	if _, err = f.Write(c.encode()); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot write the stub's configuration: %w", err)
	}
	return f, nil
}

var stages = map[uint32]string{1: "read the configuration", 2: "load the seccomp filter", 3: "set capabilities", 4: "fork", 5: ""}

// Error says why a command was not executed.
type Error struct {
	Doing string // empty: executing the command
	Errno syscall.Errno
}

func (e *Error) Error() string {
	if e.Doing == "" {
		return e.Errno.Error()
	}
	return "cannot " + e.Doing + ": " + e.Errno.Error()
}

// Wait reads the other end of the stub's pipe until the command was executed, which yields nil, or was not, which
// yields an *Error.
func Wait(r io.Reader) error {
	var report [8]byte
	switch n, err := io.ReadFull(r, report[:]); {
	case n == 0 && err == io.EOF:
		return nil
	case err != nil:
		return err
	}
	stage, ok := stages[binary.NativeEndian.Uint32(report[:])]
	if !ok {
		stage = "start"
	}
	return &Error{Doing: stage, Errno: syscall.Errno(binary.NativeEndian.Uint32(report[4:]))}
}
