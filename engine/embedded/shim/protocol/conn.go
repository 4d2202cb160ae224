package protocol

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	headerSize = 4
	maxFrame   = 16 << 20
	maxFiles   = 16 // in one message; the kernel's limit is 253
)

// Conn sends and receives messages. Send may be called from several goroutines, Receive from one.
type Conn struct {
	socket *net.UnixConn
	mu     sync.Mutex // held while a frame is written
}

// NewConn speaks over a connected socket, which it owns.
func NewConn(socket *net.UnixConn) *Conn { return &Conn{socket: socket} }

// FileConn makes a Conn of a socket's descriptor, and closes the file.
func FileConn(f *os.File) (*Conn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	socket, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a socket of the Unix domain")
	}
	return NewConn(socket), nil
}

// Pair makes two sockets that are connected to each other.
func Pair() (here *Conn, there *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	here, err = FileConn(os.NewFile(uintptr(fds[0]), "engine"))
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	return here, os.NewFile(uintptr(fds[1]), "shim"), nil
}

// Close ends the connection and makes a Receive return.
func (c *Conn) Close() error { return c.socket.Close() }

// HungUp reports whether the other side has gone, or the connection was closed here. What it sent before may not have
// been received yet.
func (c *Conn) HungUp() bool {
	raw, err := c.socket.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds, 0)
		gone = err == nil && n == 1
	})
	return err != nil || gone
}

// Send writes one message. The files may be closed afterwards.
func (c *Conn) Send(m Message, files ...*os.File) error {
	if len(files) > maxFiles {
		return fmt.Errorf("cannot send %d files at once", len(files))
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("cannot send a message of %d bytes", len(body))
	}
	frame := make([]byte, headerSize, headerSize+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body)))
	frame = append(frame, body...)

	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = descriptor(f); err != nil {
				return err
			}
		}
		rights = unix.UnixRights(fds...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _, err := c.socket.WriteMsgUnix(frame, rights, nil)
	if err == nil && n < len(frame) {
		_, err = c.socket.Write(frame[n:])
	}
	return err
}

// descriptor is f.Fd without its side effect, which is to make the file block.
func descriptor(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	err = raw.Control(func(d uintptr) { fd = int(d) })
	return fd, err
}

// Receive reads one message. The files are the caller's to close.
func (c *Conn) Receive() (m Message, files []*os.File, err error) {
	header := make([]byte, headerSize)
	oob := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oobn, _, _, err := c.socket.ReadMsgUnix(header, oob)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return m, nil, err
	}
	if files, err = parseFiles(oob[:oobn]); err != nil {
		return m, nil, err
	}
	defer func() {
		if err != nil {
			CloseAll(files)
			files = nil
		}
	}()
	if _, err = io.ReadFull(c.socket, header[n:]); err != nil {
		return m, files, err
	}
	size := binary.BigEndian.Uint32(header)
	if size > maxFrame {
		return m, files, fmt.Errorf("cannot receive a message of %d bytes", size)
	}
	body := make([]byte, size)
	if _, err = io.ReadFull(c.socket, body); err != nil {
		return m, files, err
	}
	err = json.Unmarshal(body, &m)
	return m, files, err
}

func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, control := range controls {
		fds, err := unix.ParseUnixRights(&control)
		if err != nil {
			CloseAll(files)
			return nil, err
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

// Duplicate makes another descriptor of an open file.
func Duplicate(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	cerr := raw.Control(func(d uintptr) { fd, err = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 3) })
	if err := errors.Join(cerr, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// CloseAll closes files of which any may be nil.
func CloseAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// ByRole sorts a message's files by what they are for. Their number must be that of the roles.
func ByRole(roles []FileRole, files []*os.File) (map[FileRole]*os.File, error) {
	if len(roles) != len(files) {
		CloseAll(files)
		return nil, fmt.Errorf("%d files announced, %d received", len(roles), len(files))
	}
	m := make(map[FileRole]*os.File, len(files))
	for i, role := range roles {
		if m[role] != nil {
			CloseAll(files)
			return nil, fmt.Errorf("two files are the %s", role)
		}
		m[role] = files[i]
	}
	return m, nil
}
