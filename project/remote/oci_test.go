package remote_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/project/remote"
)

const (
	projectType = "application/vnd.docker.compose.project"
	fileType    = "application/vnd.docker.compose.file+yaml"
	envFileType = "application/vnd.docker.compose.envfile"
	oldConfig   = "application/vnd.docker.compose.config.empty.v1+json"
)

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)

// startRegistry starts Debian's docker-registry and returns its address. htpasswd, if not empty, guards it.
func startRegistry(t *testing.T, htpasswd string) string {
	t.Helper()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("no registry: ", err)
	}
	dir := t.TempDir()
	config := "version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: \"127.0.0.1:0\"}\n"
	if htpasswd != "" {
		users := filepath.Join(dir, "users")
		if err := os.WriteFile(users, []byte(htpasswd), 0o600); err != nil {
			t.Fatal(err)
		}
		config += "auth: {htpasswd: {realm: test, path: " + users + "}}\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "config.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", filepath.Join(dir, "config.yml"))
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			go io.Copy(io.Discard, log) //nolint:errcheck // so that the process can write
			return m[1]
		}
	}
	t.Fatal("the registry ended without listening")
	return ""
}

// artifact is an artifact made by hand: its manifest and what it consists of.
type artifact struct {
	manifest ocispec.Manifest
	blobs    map[digest.Digest][]byte
	list     []ocispec.Descriptor // of an index, which stands in the manifest's place
}

// layer is one file of an artifact.
type layer struct {
	content, kind string
	annotations   map[string]string
}

func composeLayer(name, content string) layer {
	return layer{content, fileType, map[string]string{"com.docker.compose.file": name, "com.docker.compose.version": "v5"}}
}

func extendsLayer(name, content string) layer {
	l := composeLayer(name, content)
	l.annotations["com.docker.compose.extends"] = "true"
	return l
}

func envLayer(name, content string) layer {
	return layer{content, envFileType, map[string]string{"com.docker.compose.envfile": name}}
}

func newArtifact(layers ...layer) *artifact {
	a := &artifact{blobs: map[digest.Digest][]byte{ocispec.DescriptorEmptyJSON.Digest: []byte("{}")}}
	a.manifest = ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: projectType, Config: ocispec.DescriptorEmptyJSON,
	}
	for _, l := range layers {
		d := ocispec.Descriptor{MediaType: l.kind, Digest: digest.FromString(l.content), Size: int64(len(l.content)), Annotations: l.annotations}
		a.blobs[d.Digest] = []byte(l.content)
		a.manifest.Layers = append(a.manifest.Layers, d)
	}
	return a
}

func (a *artifact) json(t *testing.T) []byte {
	t.Helper()
	var top any = a.manifest
	if a.list != nil {
		top = ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: a.manifest.MediaType, Manifests: a.list}
	}
	text, err := json.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// push puts the artifact into the real registry and returns the manifest's digest.
func (a *artifact) push(t *testing.T, registry, name, tag string) digest.Digest {
	t.Helper()
	base := "http://" + registry + "/v2/" + name
	for d, content := range a.blobs {
		res := send(t, "POST", base+"/blobs/uploads/", "", nil, http.StatusAccepted)
		place := res.Header.Get("Location")
		send(t, "PUT", place+"&digest="+d.String(), "application/octet-stream", content, http.StatusCreated)
	}
	send(t, "PUT", base+"/manifests/"+tag, a.manifest.MediaType, a.json(t), http.StatusCreated)
	return digest.FromBytes(a.json(t))
}

func send(t *testing.T, method, url, kind string, body []byte, want int) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s %s", method, url, res.Status, text)
	}
	return res
}

// contents are the names and contents in a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(content)
	}
	return out
}

func TestOCI(t *testing.T) {
	registry := startRegistry(t, "")
	whole := newArtifact(
		composeLayer("compose.yaml", "services: {}"), composeLayer("compose.override.yaml", "name: x"),
		extendsLayer("abc.yaml", "services: {base: {}}"), extendsLayer("abc.yaml", "services: {base: {}}"),
		envLayer("def.env", "A=1"), layer{"unknown", "application/x-other", nil},
	)
	old := newArtifact(composeLayer("compose.yaml", "old"))
	old.manifest.ArtifactType, old.manifest.Config.MediaType = "", oldConfig
	pinned := whole.push(t, registry, "team/app", "v1")
	whole.push(t, registry, "team/app", "latest")
	old.push(t, registry, "team/old", "v1")
	pushIndex(t, registry, whole, pinned)

	want := map[string]string{"compose.yaml": "services: {}\n---\nname: x", "abc.yaml": "services: {base: {}}", "def.env": "A=1"}
	for address, want := range map[string]map[string]string{
		"/team/app:v1":                      want,
		"/team/app":                         want,
		"/team/app@" + pinned.String():      want,
		"/team/app:gone@" + pinned.String(): want, // a digest says it all
		"/team/app:indexed":                 want,
		"/team/old:v1":                      {"compose.yaml": "old"},
	} {
		oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
		address = "oci://" + registry + address
		if !oci.Accepts(address) {
			t.Errorf("%s is not accepted", address)
		}
		root, file, err := oci.Fetch(t.Context(), address)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := contents(t, root); !maps.Equal(got, want) || file != filepath.Join(root, "compose.yaml") {
			t.Errorf("%s: %s with %q", address, file, got)
		}
	}
}

// pushIndex tags a list of manifests in which the artifact is one.
func pushIndex(t *testing.T, registry string, a *artifact, pinned digest.Digest) {
	t.Helper()
	other := newArtifact()
	other.manifest.ArtifactType = "application/x-other"
	otherDigest := other.push(t, registry, "team/app", "other")
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{
			{MediaType: ocispec.MediaTypeImageManifest, Digest: otherDigest, Size: int64(len(other.json(t)))},
			{MediaType: ocispec.MediaTypeImageManifest, Digest: pinned, Size: int64(len(a.json(t))), ArtifactType: projectType},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, "PUT", "http://"+registry+"/v2/team/app/manifests/indexed", ocispec.MediaTypeImageIndex, index, http.StatusCreated)
}

func TestOCIMistakes(t *testing.T) {
	registry := startRegistry(t, "")
	image := newArtifact(composeLayer("compose.yaml", "x"))
	image.manifest.ArtifactType, image.manifest.Config.MediaType = "", ocispec.MediaTypeImageConfig
	image.push(t, registry, "image", "v1")
	newArtifact(envLayer("a.env", "A=1")).push(t, registry, "nofile", "v1")
	oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
	for address, want := range map[string]string{
		"oci://" + registry + "/none:v1":        "has no such artifact",
		"oci://" + registry + "/image:none":     "has no such artifact",
		"oci://" + registry + "/image:v1":       `it is not a Compose project but "application/vnd.oci.image.config.v1+json"`,
		"oci://" + registry + "/nofile:v1":      "it has no compose file",
		"oci://" + registry + "/UPPER:v1":       "must be lowercase",
		"oci://" + registry + "/x@sha256:short": "invalid reference format",
		"oci://127.0.0.1:1/x:v1":                "connection refused",
		"oci://":                                "invalid reference format",
	} {
		_, _, err := oci.Fetch(t.Context(), address)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot fetch "+address) {
			t.Errorf("%s: error is %v, want %q", address, err, want)
		}
	}
}

// The names in an artifact are names in its folder and nothing else.
func TestOCIHostileNames(t *testing.T) {
	registry := startRegistry(t, "")
	for i, l := range []layer{
		extendsLayer("../../../../tmp/x.yaml", "x"), extendsLayer("/tmp/x.yaml", "x"), extendsLayer("a/b.yaml", "x"), extendsLayer(`..\x.yaml`, "x"),
		extendsLayer("..", "x"), extendsLayer(".", "x"), extendsLayer("", "x"), extendsLayer("compose.yaml", "x"), extendsLayer("Compose.YAML", "x"),
		envLayer("../x.env", "x"), envLayer("/etc/x.env", "x"), envLayer("", "x"), envLayer("compose.yaml", "x"), envLayer("a\nb", "x"),
		envLayer("C:x", "x"), envLayer(strings.Repeat("a", 256), "x"), {"x", envFileType, nil},
	} {
		name := fmt.Sprintf("hostile%d", i)
		newArtifact(composeLayer("compose.yaml", "services: {}"), l).push(t, registry, name, "v1")
		cache := t.TempDir()
		_, _, err := remote.NewOCI(remote.OCIOptions{Cache: cache}).Fetch(t.Context(), "oci://"+registry+"/"+name+":v1")
		if err == nil || !strings.Contains(err.Error(), "which is refused") {
			t.Errorf("%q: error is %v", l.annotations, err)
		}
		if left := slices.Sorted(maps.Keys(contents(t, cache))); len(left) > 0 {
			t.Errorf("%q: left are %v", l.annotations, left)
		}
	}
	newArtifact(composeLayer("c", "x"), extendsLayer("a", "1"), extendsLayer("a", "2")).push(t, registry, "twice", "v1")
	_, _, err := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()}).Fetch(t.Context(), "oci://"+registry+"/twice:v1")
	if err == nil || !strings.Contains(err.Error(), `it has two different files "a"`) {
		t.Errorf("error is %v", err)
	}
}

func TestOCICache(t *testing.T) {
	registry := startRegistry(t, "")
	a := newArtifact(composeLayer("compose.yaml", "one"))
	pinned := a.push(t, registry, "app", "v1")
	cache := t.TempDir()
	fetch := func(address string) string {
		_, file, err := remote.NewOCI(remote.OCIOptions{Cache: cache}).Fetch(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if got := fetch("oci://" + registry + "/app:v1"); got != "one" {
		t.Errorf("got %q", got)
	}
	if got := fetch("oci://127.0.0.1:1/app@" + pinned.String()); got != "one" { // nobody answers there
		t.Errorf("got %q", got)
	}
	newArtifact(composeLayer("compose.yaml", "two")).push(t, registry, "app", "v1")
	if got := fetch("oci://" + registry + "/app:v1"); got != "two" {
		t.Errorf("the tag has moved; got %q", got)
	}
	wantClean(t, cache)
}

func TestOCICredentials(t *testing.T) {
	registry := startRegistry(t, "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n") // "secret"
	for secret, want := range map[string]string{"": "docker login " + registry, "wrong": "docker login " + registry, "secret": "has no such artifact"} {
		oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir(), Credentials: func(host string) (string, string, error) {
			if host != registry {
				t.Errorf("asked for credentials of %s", host)
			}
			if secret == "" {
				return "", "", nil
			}
			return "user", secret, nil
		}})
		_, _, err := oci.Fetch(t.Context(), "oci://"+registry+"/app:v1")
		if err == nil || !strings.Contains(err.Error(), want) || secret == "secret" && strings.Contains(err.Error(), "login") {
			t.Errorf("with %q: error is %v", secret, err)
		}
	}
}

// rogue is a registry that answers as it likes.
type rogue struct {
	*artifact
	t       *testing.T
	tamper  func(path string, content []byte) []byte
	digest  digest.Digest // of the manifest, as it says
	outside atomic.Int64  // requests for anything but the artifact
}

func (r *rogue) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	content, kind := r.json(r.t), r.manifest.MediaType
	if at := strings.LastIndex(req.URL.Path, "/blobs/"); at >= 0 {
		content, kind = r.blobs[digest.Digest(req.URL.Path[at+len("/blobs/"):])], "application/octet-stream"
	} else if !strings.Contains(req.URL.Path, "/manifests/") {
		r.outside.Add(1)
	}
	if r.tamper != nil {
		content = r.tamper(req.URL.Path, content)
	}
	w.Header().Set("Content-Type", kind)
	if r.digest != "" {
		w.Header().Set("Docker-Content-Digest", r.digest.String())
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if req.Method != http.MethodHead {
		_, _ = w.Write(content)
	}
}

func TestOCIRogueRegistry(t *testing.T) {
	good := func() *artifact { return newArtifact(composeLayer("compose.yaml", "services: {}")) }
	other := digest.FromString("other")
	for name, c := range map[string]struct {
		rogue   *rogue
		address string
		want    string
	}{
		"another manifest than the pinned one": {rogue: &rogue{artifact: good()}, address: "@" + other.String(), want: "what came as " + other.String()},
		"another manifest than announced":      {rogue: &rogue{artifact: good(), digest: other}, want: "what came as " + other.String()},
		"another layer": {rogue: &rogue{artifact: good(), tamper: func(path string, b []byte) []byte {
			if strings.Contains(path, "/blobs/") {
				return bytes.ToUpper(b)
			}
			return b
		}}, want: "what came as "},
		"a longer layer": {rogue: &rogue{artifact: good(), tamper: func(path string, b []byte) []byte {
			if strings.Contains(path, "/blobs/") {
				return append(slices.Clone(b), 'x')
			}
			return b
		}}, want: "has not the 12 bytes"},
		"a huge layer":       {rogue: &rogue{artifact: sized(good(), 1<<40)}, want: "at most 8388608 are fetched"},
		"a negative size":    {rogue: &rogue{artifact: sized(good(), -1)}, want: "at most"},
		"a broken digest":    {rogue: &rogue{artifact: digested(good(), "sha256:../../../x")}, want: "invalid checksum digest"},
		"an unknown digest":  {rogue: &rogue{artifact: digested(good(), "md5:00000000000000000000000000000000")}, want: "unsupported digest algorithm"},
		"a broken manifest":  {rogue: &rogue{artifact: good(), tamper: func(string, []byte) []byte { return []byte("{") }}, want: "its manifest cannot be read"},
		"a manifest of 8 MB": {rogue: &rogue{artifact: listed(good(), 8<<20)}, want: "at most 4194304 are fetched"},
		"a thousand layers":  {rogue: &rogue{artifact: newArtifact(slices.Repeat([]layer{composeLayer("x", "x")}, 1000)...)}, want: "it has 1000 layers"},
		"many large layers":  {rogue: &rogue{artifact: newArtifact(slices.Repeat([]layer{composeLayer("x", strings.Repeat("x", 7<<20))}, 9)...)}, want: "bytes; at most"},
	} {
		t.Run(name, func(t *testing.T) {
			c.rogue.t = t
			if c.rogue.digest == "" {
				c.rogue.digest = digest.FromBytes(c.rogue.json(t))
				if c.rogue.tamper != nil {
					c.rogue.digest = digest.FromBytes(c.rogue.tamper("/manifests/", c.rogue.json(t)))
				}
			}
			server := httptest.NewServer(c.rogue)
			defer server.Close()
			cache := t.TempDir()
			address := "oci://" + strings.TrimPrefix(server.URL, "http://") + "/app" + c.address
			_, _, err := remote.NewOCI(remote.OCIOptions{Cache: cache}).Fetch(t.Context(), address)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
			if left := contents(t, cache); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

func sized(a *artifact, size int64) *artifact {
	a.manifest.Layers[0].Size = size
	return a
}

// listed makes the manifest say that it is a list, in which the project's manifest has the size.
func listed(a *artifact, size int64) *artifact {
	a.manifest.MediaType = ocispec.MediaTypeImageIndex
	a.list = []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: projectType, Digest: digest.FromString(""), Size: size}}
	return a
}

func digested(a *artifact, d digest.Digest) *artifact {
	a.manifest.Layers[0].Digest = d
	return a
}

// A descriptor may name other places where its content is. They are not called: that would be calling whatever is in the
// network of this host.
func TestOCICallsNobodyElse(t *testing.T) {
	r := &rogue{t: t, artifact: newArtifact(composeLayer("compose.yaml", "services: {}"))}
	server := httptest.NewServer(r)
	defer server.Close()
	r.manifest.Layers[0].URLs = []string{server.URL + "/internal/secret"}
	r.digest = digest.FromBytes(r.json(t))
	oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
	if _, _, err := oci.Fetch(t.Context(), "oci://"+strings.TrimPrefix(server.URL, "http://")+"/app"); err != nil {
		t.Fatal(err)
	}
	if n := r.outside.Load(); n > 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}
