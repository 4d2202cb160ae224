package protocol

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Dir is the directory of one group's shim below the engine's run directory, mode 0700:
//
//	group     the group's name
//	lock      held by the shim that is in charge (flock)
//	pid       that shim's process ID
//	sock      where it listens
//	log       what it has to complain about
//	names     the tables of the name servers
//	c/ID/     one container: record, in, out, err, rootfs
//	state/ID/ libcontainer's own files
type Dir string

// GroupDir is where the group's shim has its files.
func GroupDir(runDir, group string) Dir {
	sum := sha256.Sum256([]byte(group))
	return Dir(filepath.Join(runDir, "shim", hex.EncodeToString(sum[:8])))
}

// GroupDirs finds the groups that have files below runDir.
func GroupDirs(runDir string) ([]Dir, error) {
	dirs, err := filepath.Glob(filepath.Join(runDir, "shim", "*", "group"))
	if err != nil {
		return nil, err
	}
	out := make([]Dir, len(dirs))
	for i, d := range dirs {
		out[i] = Dir(filepath.Dir(d))
	}
	return out, nil
}

func (d Dir) Group() string      { return filepath.Join(string(d), "group") }
func (d Dir) Lock() string       { return filepath.Join(string(d), "lock") }
func (d Dir) Pid() string        { return filepath.Join(string(d), "pid") }
func (d Dir) Socket() string     { return filepath.Join(string(d), "sock") }
func (d Dir) Log() string        { return filepath.Join(string(d), "log") }
func (d Dir) Names() string      { return filepath.Join(string(d), "names") }
func (d Dir) States() string     { return filepath.Join(string(d), "state") }
func (d Dir) Containers() string { return filepath.Join(string(d), "c") }

// Container is where the files of one container are.
func (d Dir) Container(id string) string { return filepath.Join(d.Containers(), id) }

// Dial connects to the group's shim. The directory may be deeper than the 107 bytes of a socket's address.
func (d Dir) Dial() (*Conn, error) {
	var conn *net.UnixConn
	err := d.shortSocket(func(addr *net.UnixAddr) (err error) {
		conn, err = net.DialUnix("unix", nil, addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return NewConn(conn), nil
}

// Listen makes the group's socket, in place of a dead shim's.
func (d Dir) Listen() (*net.UnixListener, error) {
	if err := os.Remove(d.Socket()); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var l *net.UnixListener
	err := d.shortSocket(func(addr *net.UnixAddr) (err error) {
		l, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}

func (d Dir) shortSocket(use func(*net.UnixAddr) error) error {
	f, err := os.Open(string(d))
	if err != nil {
		return err
	}
	defer f.Close()
	name := "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) + "/" + filepath.Base(d.Socket())
	return use(&net.UnixAddr{Net: "unix", Name: name})
}
