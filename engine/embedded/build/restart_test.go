package build

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/build"
)

// rootVariable makes TestBuildInAnotherProcess build in that directory.
const rootVariable = "STACK_BUILD_TEST_ROOT"

var restartFiles = map[string]string{"Dockerfile": "FROM busybox\nCOPY a /a\nRUN cat /a > /b\n", "a": "1"}

// TestBuildInAnotherProcess is the part of TestCacheSurvivesTheProcess that runs in processes of its own: BuildKit keeps
// some of its caches for the life of the process.
func TestBuildInAnotherProcess(t *testing.T) {
	root := os.Getenv(rootVariable)
	if root == "" {
		t.Skip("is run by TestCacheSurvivesTheProcess")
	}
	b := &bench{t: t, root: root, runner: &testRunner{}}
	b.open()
	defer b.close()
	v, _ := b.mustBuild(build.ImageBuildOptions{}, restartFiles)
	os.Stdout.WriteString("steps " + strconv.Itoa(b.runner.count()) + " " + v.id + "\n")
}

func TestCacheSurvivesTheProcess(t *testing.T) {
	b := newBench(t)
	b.close()
	defer b.open()
	var results []string
	for range 2 {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestBuildInAnotherProcess$", "-test.v")
		cmd.Env = append(os.Environ(), rootVariable+"="+b.root)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		_, rest, _ := strings.Cut(string(out), "steps ")
		line, _, _ := strings.Cut(rest, "\n")
		results = append(results, line)
	}
	firstID := strings.TrimPrefix(results[0], "1 ")
	if firstID == results[0] || results[1] != "0 "+firstID {
		t.Errorf("steps and ID of two processes: %q", results)
	}
}
