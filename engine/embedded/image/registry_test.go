package image

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/pkg/jsonmessage"

	"stackrun.dev/stack/engine"
)

// startRegistry runs a registry on a port of this host and returns its address.
func startRegistry(t *testing.T, extra string) string {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs docker-registry")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n%s", dir, addr, extra)
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "serve", path)
	messages, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	lines := bufio.NewScanner(messages)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "listening on") {
			go io.Copy(io.Discard, messages)
			return addr
		}
	}
	t.Fatalf("the registry does not start")
	return ""
}

// said collects the progress of a pull or a push.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) report(m jsonmessage.JSONMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Progress == nil {
		s.lines = append(s.lines, strings.TrimSpace(m.ID+" "+m.Status))
	}
}

func (s *said) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.Contains(l, text) {
			return true
		}
	}
	return false
}

// twoLayers makes an image of two layers by loading an archive.
func twoLayers(t *testing.T, s *Store, name string) string {
	t.Helper()
	top := tarOf(t, file{name: "srv/"}, file{name: "srv/page", body: strings.Repeat("page ", 5000)}, file{name: "etc/"}, file{name: "etc/.wh.hostname"})
	archive := dockerArchive(t, name, small(t), top)
	refs, err := s.Load(context.Background(), bytes.NewReader(archive), nil)
	if err != nil {
		t.Fatal(err)
	}
	return refs[0]
}

func TestPushAndPull(t *testing.T) {
	addr := startRegistry(t, "")
	ctx := context.Background()
	here, _ := open(t)
	name := addr + "/team/app:1"
	twoLayers(t, here, name)
	before, err := here.Inspect(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	var pushed said
	if err := here.Push(ctx, name, image.PushOptions{}, pushed.report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The push refers to repository [" + addr + "/team/app]", " Pushed", "1: digest: sha256:"} {
		if !pushed.has(want) {
			t.Errorf("the push did not say %q: %q", want, pushed.lines)
		}
	}
	after, err := here.Inspect(ctx, name)
	if err != nil || after.ID != before.ID || len(after.RepoDigests) != 1 {
		t.Errorf("after the push: %s instead of %s, digests %v, %v", after.ID, before.ID, after.RepoDigests, err)
	}
	var again said
	if err := here.Push(ctx, name, image.PushOptions{}, again.report); err != nil || again.has(" Pushed") || !again.has("Layer already exists") {
		t.Errorf("pushed again: %v, %q", err, again.lines)
	}

	there, sn := open(t)
	var pulled said
	if err := there.Pull(ctx, name, image.PullOptions{}, pulled.report); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 Pulling from team/app", "Pulling fs layer", "Download complete", "Pull complete", "Digest: sha256:", "Status: Downloaded newer image for " + name} {
		if !pulled.has(want) {
			t.Errorf("the pull did not say %q: %q", want, pulled.lines)
		}
	}
	got, err := there.Inspect(ctx, name)
	if err != nil || got.ID != before.ID || !reflect.DeepEqual(got.RepoDigests, after.RepoDigests) || got.Size != before.Size {
		t.Errorf("pulled %s %v %d, want %s %v %d; %v", got.ID, got.RepoDigests, got.Size, before.ID, after.RepoDigests, before.Size, err)
	}
	if files := filesOf(t, there, sn, name); files["srv/page"] == "" || files["etc/hostname"] != "" || files["bin/sh"] == "" {
		t.Errorf("the pulled files are %v", files)
	}
	var upToDate said
	if err := there.Pull(ctx, name, image.PullOptions{}, upToDate.report); err != nil || !upToDate.has("Status: Image is up to date for "+name) {
		t.Errorf("pulled again: %v, %q", err, upToDate.lines)
	}

	byDigest, _ := open(t)
	if err := byDigest.Pull(ctx, after.RepoDigests[0], image.PullOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if img, err := byDigest.Resolve(ctx, after.RepoDigests[0]); err != nil || img.ID != before.ID || len(img.RepoTags) != 0 {
		t.Errorf("pulled by digest: %s %v, %v", img.ID, img.RepoTags, err)
	}
}

func TestPullErrors(t *testing.T) {
	addr := startRegistry(t, "")
	s, sn := open(t)
	ctx := context.Background()
	for _, tc := range []struct {
		ref  string
		opts image.PullOptions
		kind error
		want string
	}{
		{ref: addr + "/nothing:1", kind: engine.ErrNotFound, want: "cannot pull " + addr + "/nothing:1: registry " + addr + " has no such image"},
		{ref: addr + "/nothing@sha256:" + strings.Repeat("0", 64), kind: engine.ErrNotFound, want: "has no such image"},
		{ref: "127.0.0.1:1/nothing", kind: engine.ErrUnavailable, want: "registry 127.0.0.1:1 does not answer: "},
		{ref: "registry.invalid/nothing", kind: engine.ErrUnavailable, want: "registry registry.invalid does not answer: "},
		{ref: "Not/Valid", kind: engine.ErrInvalid, want: "invalid image reference"},
		{ref: addr + "/nothing", opts: image.PullOptions{Platform: "a/b/c/d/e"}, kind: engine.ErrInvalid, want: "invalid platform"},
		{ref: addr + "/nothing", opts: image.PullOptions{RegistryAuth: "%%%"}, kind: engine.ErrInvalid, want: "cannot read the credentials"},
		{ref: addr + "/nothing", opts: image.PullOptions{All: true}, kind: engine.ErrUnsupported, want: "all tags"},
	} {
		err := s.Pull(ctx, tc.ref, tc.opts, nil)
		if !errors.Is(err, tc.kind) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Pull(%s): %v, want %q of kind %v", tc.ref, err, tc.want, tc.kind)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Pull(cancelled, addr+"/nothing", image.PullOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled pull returned %v", err)
	}
	if err := s.Push(ctx, addr+"/nothing", image.PushOptions{}, nil); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("pushing what is not there: %v", err)
	}
	if err := sn.CollectNow(ctx); err != nil {
		t.Fatal(err)
	}
	if left := inventory(t, sn); len(left) > 0 {
		t.Errorf("left by failed pulls: %v", left)
	}
}

func TestCredentials(t *testing.T) {
	proxy := requireBasicAuth(t, startRegistry(t, ""))
	s, _ := open(t)
	ctx := context.Background()
	name := proxy + "/app"
	importSmall(t, s, name)
	auth := func(password string) string {
		encoded, err := registry.EncodeAuthConfig(registry.AuthConfig{Username: "user", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	if err := s.Push(ctx, name, image.PushOptions{RegistryAuth: auth("secret")}, nil); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	if err := s.Pull(ctx, name, image.PullOptions{RegistryAuth: auth("secret")}, nil); err != nil {
		t.Errorf("with the right password: %v", err)
	}
	if err := s.Pull(ctx, name, image.PullOptions{RegistryAuth: auth("wrong")}, nil); !errors.Is(err, engine.ErrForbidden) || !strings.Contains(err.Error(), "refuses the credentials") {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := s.Pull(ctx, name, image.PullOptions{}, nil); !errors.Is(err, engine.ErrNotFound) || !strings.Contains(err.Error(), "log in") {
		t.Errorf("without a password: %v", err)
	}
}

// requireBasicAuth puts a server that asks for a password in front of a registry.
func requireBasicAuth(t *testing.T, backend string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "user" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		out, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+backend+r.URL.RequestURI(), r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		out.Header, out.Host, out.ContentLength = r.Header, r.Host, r.ContentLength
		resp, err := http.DefaultTransport.RoundTrip(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		for key, values := range resp.Header {
			w.Header()[key] = values
		}
		w.WriteHeader(resp.StatusCode)
		io.Copy(w, resp.Body)
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return listener.Addr().String()
}

func TestTheSamePullAtOnce(t *testing.T) {
	addr := startRegistry(t, "")
	ctx := context.Background()
	here, _ := open(t)
	name := addr + "/app:1"
	twoLayers(t, here, name)
	if err := here.Push(ctx, name, image.PushOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	there, sn := open(t)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			if err := there.Pull(ctx, name, image.PullOptions{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := sn.CollectNow(ctx); err != nil {
		t.Fatal(err)
	}
	if files := filesOf(t, there, sn, name); files["srv/page"] == "" {
		t.Errorf("the files are %v", files)
	}
	if _, err := there.Remove(ctx, name, image.RemoveOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := sn.CollectNow(ctx); err != nil {
		t.Fatal(err)
	}
	if left := inventory(t, sn); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
