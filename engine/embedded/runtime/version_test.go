package runtime

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// TestMain makes the test program a shim of another version when it is started as one.
func TestMain(m *testing.M) {
	if os.Args[0] == "stack-shim" {
		if err := otherShim(protocol.Dir(os.Args[1])); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// otherShim has the lock of the directory, and says that it is of a version yet to come.
func otherShim(dir protocol.Dir) error {
	lock, err := os.Create(dir.Lock())
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	l, err := dir.Listen()
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir.Pid(), fmt.Append(nil, os.Getpid()), 0o600); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		socket, err := l.AcceptUnix()
		if err != nil {
			return err
		}
		c := protocol.NewConn(socket)
		for {
			m, _, err := c.Receive()
			if err != nil {
				break
			}
			answer := protocol.Message{Number: m.Number, Error: protocol.Errorf(protocol.NotFound, "no container")}
			if m.Method == protocol.MethodHello {
				answer.Error = nil
				answer.Body, _ = protocol.Encode(protocol.HelloReply{Version: protocol.Version + 1, Group: "test"})
			}
			if err := c.Send(answer); err != nil {
				return err
			}
		}
	}
}

// TestOtherVersion has the engine find a shim that it cannot talk to: it puts one of its own in its place.
func TestOtherVersion(t *testing.T) {
	w := newWorld(t)
	dir := protocol.GroupDir(w.opts.RunDir, "test")
	must(t, os.MkdirAll(string(dir), 0o700))
	must(t, os.WriteFile(dir.Group(), []byte("test"), 0o600))
	self, err := os.Executable()
	must(t, err)
	other := &exec.Cmd{Path: self, Args: []string{"stack-shim", string(dir)}, Stderr: os.Stderr}
	out, err := other.StdoutPipe()
	must(t, err)
	must(t, other.Start())
	defer other.Process.Kill()
	_, err = out.Read(make([]byte, 16))
	must(t, err)
	w.run(w.container("new", "true"))
	w.awaitExit("new")
	if err := other.Wait(); err == nil {
		t.Error("the other shim was not ended")
	}
	if left, _ := filepath.Glob(string(dir)); len(left) != 1 {
		t.Errorf("directories: %v", left)
	}
}
