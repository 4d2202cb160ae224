package main

import (
	"net/http/cgi"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/engine/enginetest/registry"
)

// serveGit makes the folder a git repository with one commit, tagged v1, and serves it at $NAME:
//
//	git NAME DIR
func serveGit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: git NAME DIR")
	}
	dir := ts.MkAbs(args[1])
	for _, words := range [][]string{
		{"init", "--quiet", "--initial-branch=main"}, {"add", "--all"},
		{"-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=x"}, {"tag", "v1"},
	} {
		cmd := exec.Command("git", words...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME")}
		if out, err := cmd.CombinedOutput(); err != nil {
			ts.Fatalf("git %v: %v\n%s", words, err, out)
		}
	}
	libexec, err := exec.Command("git", "--exec-path").Output()
	ts.Check(err)
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(libexec)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"},
	})
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL+"/.git")
}

// registryOnce returns a command that starts a real registry for all scripts of the test, and sets $REGISTRY:
//
//	registry
func registryOnce(t *testing.T) func(*testscript.TestScript, bool, []string) {
	start := sync.OnceValue(func() string { return registry.Start(t, nil) })
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: registry")
		}
		ts.Setenv("REGISTRY", start())
	}
}
