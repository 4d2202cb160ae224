package pidfd

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func start(t *testing.T, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestChild(t *testing.T) {
	for script, want := range map[string]int{"exit 7": 7, "kill -9 $$": 137, ":": 0} {
		cmd := start(t, script)
		p, err := Open(cmd.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		exit := Exit(p.Wait())
		if exit.Code != want || exit.Unknown || exit.At.IsZero() {
			t.Errorf("%s: %+v", script, exit)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("signal after the end: %v", err)
		}
		p.Close()
	}
}

// TestOther watches a process whose parent is somebody else, before and after that one has fetched its status.
func TestOther(t *testing.T) {
	for _, script := range []string{
		"sh -c 'read x; exit 9' & echo $!; wait",            // fetched at once
		"sh -c 'read x; exit 9' & echo $!; exec sleep 1000", // never fetched: a zombie
	} {
		cmd := exec.Command("sh", "-c", "exec 3<&0; "+strings.ReplaceAll(script, "read x", "read x <&3"))
		in, _ := cmd.StdinPipe()
		out, _ := cmd.StdoutPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 32)
		n, _ := out.Read(buf)
		pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
		if err != nil {
			t.Fatal(err)
		}
		started, err := StartTime(pid)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenOther(pid, started+1); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("a process of another time: %v", err)
		}
		p, err := OpenOther(pid, started)
		if err != nil {
			t.Fatal(err)
		}
		in.Close()
		exit := Exit(p.Wait())
		// Kernels before 6.15 tell of a zombie only.
		if exit.Code != 9 && !exit.Unknown {
			t.Errorf("%s: %+v", script, exit)
		}
		p.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestClose(t *testing.T) {
	cmd := start(t, "exec sleep 1000")
	p, err := Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := p.Wait()
		done <- err
	}()
	p.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
