package dockerd_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stackrun.dev/stack/engine/docker"
	"stackrun.dev/stack/engine/enginetest/dockerd"
)

func TestStartAnswersAndLeavesNothing(t *testing.T) {
	var dir string
	t.Run("daemon", func(t *testing.T) {
		d := dockerd.Start(t)
		dir = filepath.Dir(strings.TrimPrefix(d.Host, "unix://"))
		e, err := docker.New(d.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		v, err := e.Version(context.Background())
		if err != nil || v.APIVersion == "" {
			t.Fatalf("Version() = %+v, %v", v, err)
		}
		t.Logf("docker %s, API %s", v.Version, v.APIVersion)
	})
	if dir == "" {
		return // skipped
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + filepath.Base(dir)); len(left) > 0 {
		t.Errorf("cgroups are left: %v", left)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left in %s (%v)", dir, err)
	}
}
