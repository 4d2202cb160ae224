package remote_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"stackrun.dev/stack/project/remote"
)

// repository is a git repository that a real server serves.
type repository struct {
	*testing.T
	dir      string // its work tree
	address  string // http://127.0.0.1:PORT/NAME.git
	requests atomic.Int64
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	base := t.TempDir()
	r := &repository{T: t, dir: filepath.Join(base, "work")}
	r.git(base, "init", "--quiet", "--initial-branch=main", "work")
	r.git(base, "clone", "--quiet", "--bare", "work", "served.git")
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(r.git(base, "--exec-path")), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + base, "GIT_HTTP_EXPORT_ALL=1"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.requests.Add(1)
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	r.address = server.URL + "/served.git"
	return r
}

// git runs git with a configuration of its own.
func (r *repository) git(dir string, args ...string) string {
	r.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(gitEnv(r.T), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func gitEnv(t *testing.T) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1"}
}

// commit makes a commit of the files, an entry "-> TARGET" being a link, and returns its name.
func (r *repository) commit(files map[string]string) string {
	r.Helper()
	for name, content := range files {
		path := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o600)
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	r.git(r.dir, "add", "--all")
	r.git(r.dir, "commit", "--quiet", "--message=x")
	r.publish()
	return strings.TrimSpace(r.git(r.dir, "rev-parse", "HEAD"))
}

func (r *repository) publish() {
	r.Helper()
	r.git(r.dir, "push", "--quiet", "--force", "--mirror", "../served.git")
}

// fetch fetches with a Git of its own.
func (r *repository) fetch(cache, suffix string) (root, file string, err error) {
	r.Helper()
	git := remote.NewGit(remote.GitOptions{Cache: cache, Env: gitEnv(r.T)})
	address := r.address + suffix
	if !git.Accepts(address) {
		r.Fatalf("%s is not accepted", address)
	}
	return git.Fetch(r.Context(), address)
}

// content is what the fetched Compose file holds.
func (r *repository) content(suffix string) string {
	r.Helper()
	root, file, err := r.fetch(r.TempDir(), suffix)
	if err != nil {
		r.Fatal(err)
	}
	if !strings.HasPrefix(file, root+"/") {
		r.Errorf("file %s is not in %s", file, root)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	return string(content)
}

func TestGitRefs(t *testing.T) {
	r := newRepository(t)
	first := r.commit(map[string]string{"compose.yaml": "one", "sub/docker-compose.yml": "sub one", "sub/prod.yaml": "prod"})
	r.git(r.dir, "tag", "light")
	r.git(r.dir, "tag", "--annotate", "--message=x", "heavy")
	r.git(r.dir, "branch", "release/1")
	r.commit(map[string]string{"compose.yaml": "two"})
	r.git(r.dir, "branch", "both")
	r.git(r.dir, "tag", "both", "light")
	r.publish()
	for suffix, want := range map[string]string{
		"":                                    "two",
		"#main":                               "two",
		"#light":                              "one",
		"#heavy":                              "one",
		"#release/1":                          "one",
		"#refs/heads/release/1":               "one",
		"#both":                               "two", // a branch and a tag: git checkout takes the branch
		"?tag=both":                           "one",
		"#" + first:                           "one",
		"#light:sub":                          "sub one",
		"#:sub/prod.yaml":                     "prod",
		"?ref=main&subdir=sub":                "sub one",
		"?ref=light&checksum=" + first[:12]:   "one",
		"?checksum=" + first + "&subdir=sub/": "sub one",
	} {
		if got := r.content(suffix); got != want {
			t.Errorf("%s: %q, want %q", suffix, got, want)
		}
	}
}

func TestGitMistakes(t *testing.T) {
	r := newRepository(t)
	first := r.commit(map[string]string{"compose.yaml": "one", "empty/readme": "", "loop": "-> loop", "out": "-> /etc"})
	for suffix, want := range map[string]string{
		"#none":                       `it has no branch or tag "none"`,
		"#" + first[:12]:              "a commit must be written in full",
		"#:nowhere":                   `it has no "nowhere"`,
		"#:empty":                     `its folder "empty" has no compose file`,
		"#:../x":                      "leads out of the repository",
		"#:out/passwd":                `"out/passwd"`,
		"#:loop":                      `"loop"`,
		"#--exec=x":                   "is not the name of a branch",
		"?checksum=beef0":             "not beef0 as the address says",
		"#" + strings.Repeat("0", 40): "git fetch: ",
	} {
		cache := t.TempDir()
		_, _, err := r.fetch(cache, suffix)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot fetch "+r.address) {
			t.Errorf("%s: error is %v, want %q", suffix, err, want)
		}
		if err != nil && strings.Contains(err.Error(), cache) {
			t.Errorf("%s: the error tells where the cache is: %v", suffix, err)
		}
		wantClean(t, cache)
	}
}

// wantClean checks that nothing half-done is left.
func wantClean(t *testing.T, cache string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(cache, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func TestGitFetchesOnce(t *testing.T) {
	r := newRepository(t)
	commit := r.commit(map[string]string{"compose.yaml": "one"})
	cache := t.TempDir()
	git := remote.NewGit(remote.GitOptions{Cache: cache, Env: gitEnv(t)})
	var group sync.WaitGroup
	roots := make([]string, 4)
	for i := range roots {
		group.Go(func() {
			root, _, err := git.Fetch(t.Context(), r.address+"#main")
			if err != nil {
				t.Error(err)
			}
			roots[i] = root
		})
	}
	group.Wait()
	if want := filepath.Join(cache, commit); roots[0] != want || roots[3] != want {
		t.Errorf("roots are %v, want %s", roots, want)
	}
	before := r.requests.Load()
	if _, _, err := git.Fetch(t.Context(), r.address+"#main"); err != nil || r.requests.Load() != before {
		t.Errorf("the second time there were %d requests, error %v", r.requests.Load()-before, err)
	}
	if _, _, err := r.fetch(cache, "#"+commit); err != nil || r.requests.Load() != before {
		t.Errorf("of a commit that is in the cache there were %d requests, error %v", r.requests.Load()-before, err)
	}
	wantClean(t, cache)
}

// Several processes share a cache: all of them get the same folder, and nothing else stays.
func TestGitAtOnce(t *testing.T) {
	r := newRepository(t)
	commit := r.commit(map[string]string{"compose.yaml": "one"})
	cache := t.TempDir()
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			root, file, err := r.fetch(cache, "")
			if err != nil || root != filepath.Join(cache, commit) || file != filepath.Join(root, "compose.yaml") {
				t.Errorf("%s %s %v", root, file, err)
			}
		})
	}
	group.Wait()
	wantClean(t, cache)
}

// What a killed process left goes with the next fetch; what another process is filling stays.
func TestGitSweepsLeftovers(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{"compose.yaml": "one"})
	cache := t.TempDir()
	for _, name := range []string{".new-dead/root", ".new-alive/root"} {
		if err := os.MkdirAll(filepath.Join(cache, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	holder := exec.Command("flock", "--exclusive", filepath.Join(cache, ".new-alive"), "sh", "-c", "echo; read x")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.fetch(cache, ""); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, ".new-*"))
	if len(left) != 1 || filepath.Base(left[0]) != ".new-alive" {
		t.Errorf("left are %v", left)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // read ends with the input
}

// Links that lead out of the repository lead nowhere in the cache; others are as they were.
func TestGitLinks(t *testing.T) {
	r := newRepository(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{
		"real.yaml": "one", "compose.yaml": "-> real.yaml", "dir/in": "-> ../real.yaml", "dangling": "-> later",
		"absolute": "-> " + secret, "above": "-> ../../../../../../../../" + secret, "chain": "-> absolute", "etc": "-> /etc", "dir/up": "-> ../..",
	})
	root, file, err := r.fetch(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "one" {
		t.Errorf("%s has %q, %v", file, content, err)
	}
	for name, want := range map[string]string{
		"dir/in": "../real.yaml", "dangling": "later", "compose.yaml": "real.yaml",
		"absolute": ".outside-the-repository", "above": ".outside-the-repository", "chain": ".outside-the-repository",
		"etc": ".outside-the-repository", "dir/up": ".outside-the-repository",
	} {
		if got, err := os.Readlink(filepath.Join(root, name)); err != nil || got != want {
			t.Errorf("%s leads to %q, want %q (%v)", name, got, want, err)
		}
	}
}

// Nothing in a repository is executed, and of submodules nothing is fetched.
func TestGitRunsNothing(t *testing.T) {
	r := newRepository(t)
	trap := filepath.Join(t.TempDir(), "trap")
	script := fmt.Sprintf("#!/bin/sh\ntouch %s\n", trap)
	hooks := filepath.Join(r.dir, "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hooks, "post-checkout"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r.commit(map[string]string{
		"compose.yaml":   "one",
		".gitattributes": "* filter=trap\n",
		".gitmodules":    "[submodule \"x\"]\n\tpath = x\n\turl = --upload-pack=touch " + trap + "\n\tupdate = !touch " + trap + "\n",
	})
	// the user's own git has hooks, for commands that the user gives
	home := t.TempDir()
	config := fmt.Sprintf("[core]\n\thooksPath = %s\n\tfsmonitor = touch %s\n[submodule]\n\trecurse = true\n[protocol]\n\tallow = always\n", hooks, trap)
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	git := remote.NewGit(remote.GitOptions{Cache: t.TempDir(), Env: append(gitEnv(t), "HOME="+home)})
	root, _, err := git.Fetch(t.Context(), r.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("something in the repository was executed")
	}
	if _, err := os.Stat(filepath.Join(root, ".git")); err == nil {
		t.Error("the repository itself is in the cache")
	}
}

// A server may redirect and a configuration rewrite to other protocols, which are refused.
func TestGitProtocols(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{"compose.yaml": "one"})
	home := t.TempDir()
	trap := filepath.Join(home, "trap")
	config := fmt.Sprintf("[url \"ext::touch %s #\"]\n\tinsteadOf = http://rewritten/\n[url \"file://%s/\"]\n\tinsteadOf = http://local/\n[protocol]\n\tallow = always\n",
		trap, filepath.Dir(r.dir))
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	git := remote.NewGit(remote.GitOptions{Cache: t.TempDir(), Env: append(gitEnv(t), "HOME="+home, "GIT_ALLOW_PROTOCOL=ext:file")})
	for _, address := range []string{"http://rewritten/x.git", "http://local/served.git"} {
		if _, _, err := git.Fetch(t.Context(), address); err == nil || !strings.Contains(err.Error(), "not allowed") {
			t.Errorf("%s: error is %v", address, err)
		}
	}
	if _, err := os.Stat(trap); err == nil {
		t.Error("the other protocol was spoken")
	}
}

// What a server says is shown without what a terminal would obey.
func TestGitMessagesAreHarmless(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "\x1b]0;owned\x07\x1b[31mred "+strings.Repeat("long ", 10_000))
	}))
	defer server.Close()
	git := remote.NewGit(remote.GitOptions{Cache: t.TempDir(), Env: gitEnv(t)})
	_, _, err := git.Fetch(t.Context(), strings.Replace(server.URL, "//", "//user:hidden@", 1)+"/x.git")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07\n") || len(err.Error()) > 4000 || strings.Contains(err.Error(), "hidden") {
		t.Errorf("error is %q", err)
	}
}

func TestGitIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	git := remote.NewGit(remote.GitOptions{Cache: t.TempDir()})
	_, _, err := git.Fetch(t.Context(), "https://127.0.0.1:1/x.git")
	if err == nil || !strings.Contains(err.Error(), "the program git is not there; install it") {
		t.Errorf("error is %v", err)
	}
}

// A server that says nothing is left as soon as the command is interrupted.
func TestGitIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		cancel()
		<-req.Context().Done()
	}))
	defer server.Close()
	cache := t.TempDir()
	git := remote.NewGit(remote.GitOptions{Cache: cache, Env: gitEnv(t)})
	if _, _, err := git.Fetch(ctx, server.URL+"/x.git"); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error is %v", err)
	}
	wantClean(t, cache)
}

// The user's own filters, such as git-lfs, are programs: a repository from elsewhere has them run on nothing.
func TestGitRunsNoFilters(t *testing.T) {
	r := newRepository(t)
	r.commit(map[string]string{
		"compose.yaml":         "services: {}\n",
		".gitattributes":       "* filter=mine\nsub/* filter=lfs\n*.x filter=\"a.b\"\n",
		"sub/.gitattributes":   "big filter=theirs\n",
		"sub/big":              "pointer\n",
		"a.x":                  "x\n",
		"deep/info/attributes": "* filter=mine\n",
	})
	home, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	config := ""
	for _, name := range []string{"mine", "lfs", "theirs", "a.b"} {
		config += fmt.Sprintf("[filter %q]\n\tsmudge = \"touch %s; cat\"\n\tprocess = \"touch %s\"\n\trequired = true\n", name, ran, ran)
	}
	global := filepath.Join(home, ".attributes")
	config += fmt.Sprintf("[core]\n\tattributesFile = %s\n", global)
	for path, text := range map[string]string{filepath.Join(home, ".gitconfig"): config, global: "* filter=mine\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1"}
	root, _, err := remote.NewGit(remote.GitOptions{Cache: t.TempDir(), Env: env}).Fetch(t.Context(), r.address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("a filter was run")
	}
	if text, err := os.ReadFile(filepath.Join(root, "sub/big")); err != nil || string(text) != "pointer\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A repository has a bound: what is transferred, and what the files come to, which may be much more.
func TestGitTooLarge(t *testing.T) {
	noise := make([]byte, 3<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	many := map[string]string{"compose.yaml": "services: {}"}
	for i := range 300 {
		many[fmt.Sprintf("d/%d", i)] = ""
	}
	for name, files := range map[string]map[string]string{
		"noise": {"compose.yaml": "services: {}", "noise": string(noise)},
		"zeros": {"compose.yaml": "services: {}", "zeros": strings.Repeat("\x00", 3<<20)},
		"many":  many,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			r.commit(files)
			cache := t.TempDir()
			for _, limit := range []int64{1 << 20, 4 << 20} {
				fits := limit > 3<<20
				g := remote.NewGit(remote.GitOptions{Cache: cache, Env: gitEnv(t), Limit: limit})
				_, _, err := g.Fetch(t.Context(), r.address)
				if fits && err != nil || !fits && (err == nil || !strings.Contains(err.Error(), "it has more than 1 MiB, the most that is fetched")) {
					t.Errorf("%d: %v", limit, err)
				}
				if left, _ := filepath.Glob(cache + "/.new*"); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			}
		})
	}
}
