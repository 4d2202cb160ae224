package embedded

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	dockercontainer "github.com/docker/docker/api/types/container"
	dockernet "github.com/docker/docker/api/types/network"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/enginetest"
)

// crashDir and crashImage tell a child process that it is an engine to be killed; see TestMain.
const (
	crashDir   = "STACK_TEST_CRASH_DIR"
	crashImage = "STACK_TEST_CRASH_IMAGE"
)

// victims is how many containers the child starts side by side.
const victims = 8

// runVictim opens an engine, starts containers, prints the name of each when its start was acknowledged, and waits for
// its death.
func runVictim(dir string) {
	e, err := Open(context.Background(), Options{Root: filepath.Join(dir, "root"), Run: filepath.Join(dir, "run")})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for i := range victims {
		go func() {
			name := fmt.Sprintf("victim-%d", i)
			_, err := e.ContainerCreate(context.Background(), name, engine.CreateConfig{
				Config: &dockercontainer.Config{Image: os.Getenv(crashImage), Cmd: []string{"sleep", "1000"}, Volumes: map[string]struct{}{"/v": {}}},
				Host:   &dockercontainer.HostConfig{NetworkMode: "net", RestartPolicy: dockercontainer.RestartPolicy{Name: "always"}},
			})
			if err == nil {
				err = e.ContainerStart(context.Background(), name)
			}
			out.Lock()
			defer out.Unlock()
			if err != nil {
				fmt.Println("failed:", err)
				return
			}
			fmt.Println(name)
		}()
	}
	select {}
}

func TestAnEngineKilledAtWorkLosesNothing(t *testing.T) {
	for _, after := range []int{0, 1, 3, victims} {
		t.Run(fmt.Sprintf("after %d starts", after), func(t *testing.T) {
			dir := t.TempDir()
			e := openAt(t, dir)
			image := enginetest.ImportImage(t, e)
			if _, err := e.NetworkCreate(t.Context(), "net", dockernet.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			closeEngine(t, e)
			acknowledged := crash(t, dir, image, after)

			e = openAt(t, dir)
			defer closeEngine(t, e)
			for _, name := range acknowledged {
				if in, err := e.ContainerInspect(t.Context(), name); err != nil || !in.State.Running {
					t.Errorf("%s was started and is %+v, %v", name, in.ContainerJSONBase, err)
				}
			}
			for _, r := range e.allRecords() {
				// What was being created or started when the engine died can be started now.
				if err := e.ContainerStart(t.Context(), r.ID); err != nil {
					t.Errorf("starting %s: %v", r.Name, err)
				}
				if out := execIn(t, e, r.ID, "echo $((1+1))"); out != "2\n" {
					t.Errorf("%s answers %q", r.Name, out)
				}
				if err := e.ContainerRemove(t.Context(), r.ID, dockercontainer.RemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
					t.Error(err)
				}
			}
			checkEmpty(t, e)
		})
	}
}

// crash runs an engine in a process of its own, kills it when it has acknowledged that many starts, and returns the
// names that it acknowledged.
func crash(t *testing.T, dir, image string, after int) []string {
	t.Helper()
	child := exec.Command("/proc/self/exe", "-test.run", "^$")
	child.Env = append(os.Environ(), crashDir+"="+dir, crashImage+"="+image)
	child.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for lines := bufio.NewScanner(out); len(names) < after && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "failed") {
			t.Error(lines.Text())
		}
		names = append(names, lines.Text())
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	return names
}

// checkEmpty checks that nothing is left when the last container has been removed.
func checkEmpty(t *testing.T, e *Engine) {
	t.Helper()
	states, err := e.runtime.List(t.Context())
	if err != nil || len(states) != 0 {
		t.Errorf("processes are left: %+v, %v", states, err)
	}
	if volumes := e.volumes.List(); len(volumes) != 0 {
		t.Errorf("volumes are left: %+v", volumes)
	}
	entries, err := os.ReadDir(filepath.Join(e.opts.Root, "containers"))
	if err != nil || len(entries) != 0 {
		t.Errorf("directories are left: %v, %v", entries, err)
	}
	if err := e.NetworkRemove(t.Context(), "net"); err != nil {
		t.Errorf("the network is in use: %v", err)
	}
}
