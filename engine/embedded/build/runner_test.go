package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// testRunner runs steps in namespaces of their own, with the test binary as the process that mounts and executes. It is
// enough of a container to see what BuildKit asks for.
type testRunner struct {
	mu    sync.Mutex
	steps []Step
}

// initVariable tells the test binary that it is a step's init; its value is the number of the descriptor to read from.
const initVariable = "STACK_BUILD_TEST_INIT"

func TestMain(m *testing.M) {
	if os.Getenv(initVariable) != "" {
		fmt.Fprintln(os.Stderr, stepInit())
		os.Exit(125)
	}
	os.Exit(m.Run())
}

type initInput struct {
	Rootfs Rootfs
	Spec   *specs.Spec
}

func (r *testRunner) Run(ctx context.Context, step Step) (int, error) {
	r.mu.Lock()
	r.steps = append(r.steps, step)
	r.mu.Unlock()
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{initVariable + "=3"}
	cmd.ExtraFiles = []*os.File{read}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = step.Stdin, step.Stdout, step.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		write.Close()
		return 0, err
	}
	step.Started()
	err = json.NewEncoder(write).Encode(initInput{Rootfs: step.Rootfs, Spec: step.Spec})
	write.Close()
	if waitErr := cmd.Wait(); waitErr != nil {
		var exit *exec.ExitError
		if errors.As(waitErr, &exit) {
			return exit.ExitCode(), nil
		}
		return 0, waitErr
	}
	return 0, err
}

// last returns the step that was run last.
func (r *testRunner) last() Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.steps[len(r.steps)-1]
}

func (r *testRunner) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.steps)
}

// stepInit mounts the step's file systems and executes its command. It returns only if it fails.
func stepInit() error {
	var in initInput
	if err := json.NewDecoder(os.NewFile(3, "input")).Decode(&in); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	root, err := mountRoot(in.Rootfs)
	if err != nil {
		return err
	}
	for _, m := range in.Spec.Mounts {
		if err := mountInRoot(root, m); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.Source, m.Destination, err)
		}
	}
	for name, minor := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		path := filepath.Join(root, "dev", name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, uint32(minor)))); err != nil {
			return fmt.Errorf("make %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	p := in.Spec.Process
	if err := os.MkdirAll(filepath.Join(root, p.Cwd), 0o755); err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return err
	}
	if err := os.Chdir(p.Cwd); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(in.Spec.Hostname)); err != nil {
		return err
	}
	unix.CloseOnExec(3)
	return unix.Exec(p.Args[0], p.Args, p.Env)
}

func mountRoot(fs Rootfs) (string, error) {
	// The tmpfs is the process's own; the mounts go with its namespace.
	if err := unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""); err != nil {
		return "", err
	}
	const root = "/mnt/root"
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	if len(fs.Lower) == 0 {
		return root, unix.Mount(fs.Upper, root, "", unix.MS_BIND|unix.MS_REC, "")
	}
	opts := "lowerdir=" + strings.Join(fs.Lower, ":")
	if fs.Upper != "" {
		opts += ",upperdir=" + fs.Upper + ",workdir=" + fs.Work
	}
	return root, unix.Mount("overlay", root, "overlay", 0, opts)
}

func mountInRoot(root string, m specs.Mount) error {
	target := filepath.Join(root, m.Destination)
	var flags uintptr
	var data []string
	for _, o := range m.Options {
		switch o {
		case "ro":
			flags |= unix.MS_RDONLY
		case "rbind", "bind":
			flags |= unix.MS_BIND | unix.MS_REC
		case "nosuid", "noexec", "nodev", "rw", "relatime", "strictatime", "newinstance":
		default:
			data = append(data, o)
		}
	}
	switch m.Type {
	case "cgroup", "mqueue", "sysfs":
		return nil
	}
	info, err := os.Stat(m.Source)
	if m.Type == "bind" && err == nil && !info.IsDir() {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	} else if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	if m.Type == "bind" {
		if err := unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil || flags&unix.MS_RDONLY == 0 {
			return err
		}
		return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	return unix.Mount(m.Source, target, m.Type, flags, strings.Join(data, ","))
}
