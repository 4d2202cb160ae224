package pidfd

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOpenProc(t *testing.T) {
	cmd := start(t, "cd /tmp && exec sleep 1000")
	p, err := Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	root, err := p.OpenProc("root", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		t.Fatal(err)
	}
	same(t, root, "/")
	root.Close()
	if _, err := p.OpenProc("none", unix.O_PATH); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	_ = cmd.Process.Kill()
	_, _ = p.Wait()
	if _, err := p.OpenProc("root", unix.O_PATH); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("after the end: %v", err)
	}
}

func same(t *testing.T, file *os.File, path string) {
	t.Helper()
	got, err1 := file.Stat()
	want, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(got, want) {
		t.Errorf("%s is not %s (%v, %v)", file.Name(), path, err1, err2)
	}
}

// A number that belongs to another process by now leads nowhere: neither when it is asked for after the end, nor when the end
// came between the asking and the opening.
func TestOpenProcOfANumberThatIsAnothers(t *testing.T) {
	first := start(t, "exec sleep 1000")
	p, err := Open(first.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	fd := int(p.File().Fd())
	_ = first.Process.Kill()
	_, _ = p.Wait()

	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	if pid, err := number(fd); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("the number of what has ended: %d, %v", pid, err)
	}
	if f, err := openProven(fd, other.Process.Pid, "root", unix.O_PATH); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("opened the root of another process: %v, %v", f, err)
	}
}

func TestOpenProcOfWhatIsNoProcess(t *testing.T) {
	if f, err := OpenProc(os.Stdin, "root", unix.O_PATH); err == nil {
		t.Errorf("opened %s", f.Name())
	}
}
