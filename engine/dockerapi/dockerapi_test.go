package dockerapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/dockerapi"
	"stackrun.dev/stack/engine/memory"
)

// newServer serves an engine that has the image "app".
func newServer(t *testing.T) (*memory.Engine, *httptest.Server) {
	t.Helper()
	e := memory.New()
	e.AddImage("app", container.Config{Cmd: []string{"sleep", "1000"}})
	server := httptest.NewServer(dockerapi.New(e, dockerapi.Options{Version: "test"}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = e.Close()
	})
	return e, server
}

// ask sends a request and returns the status and the body.
func ask(t *testing.T, server *httptest.Server, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestVersionsOfTheAPI(t *testing.T) {
	_, server := newServer(t)
	for path, want := range map[string]int{
		"/containers/json":         200,
		"/v1.24/containers/json":   200,
		"/v1.51/containers/json":   200,
		"/v1.23/containers/json":   400,
		"/v1.99/containers/json":   400,
		"/vault/containers/json":   404,
		"/v1.51/nothing/like/this": 404,
		"/v1.51":                   404,
		"/_ping":                   200,
	} {
		if status, body := ask(t, server, "GET", path, ""); status != want {
			t.Errorf("GET %s: status %d %s, want %d", path, status, body, want)
		}
	}
	resp, err := server.Client().Head(server.URL + "/_ping")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if v := resp.Header.Get("Api-Version"); v != dockerapi.NewestVersion {
		t.Errorf("ping tells version %q, want %s", v, dockerapi.NewestVersion)
	}
	if b := resp.Header.Get("Builder-Version"); b != "1" {
		t.Errorf("ping tells builder %q; clients would try a BuildKit session", b)
	}
}

func TestErrorsBecomeStatuses(t *testing.T) {
	e, server := newServer(t)
	for kind, want := range map[error]int{
		engine.ErrNotFound: 404, engine.ErrConflict: 409, engine.ErrInvalid: 400, engine.ErrUnsupported: 501,
		engine.ErrForbidden: 403, engine.ErrUnavailable: 503, engine.ErrInternal: 500, errors.New("of no kind"): 500,
	} {
		remove := e.Fail("ContainerStart", "", engine.Errorf(kind, "cannot start: the test says so"))
		status, body := ask(t, server, "POST", "/containers/x/start", "")
		remove()
		if status != want || !strings.Contains(body, `"message":"cannot start: the test says so"`) {
			t.Errorf("kind %v: status %d %s, want %d", kind, status, body, want)
		}
	}
}

func TestWhatTheContractHasNotIsRefused(t *testing.T) {
	_, server := newServer(t)
	for _, path := range []string{
		"GET /containers/x/export", "GET /containers/x/changes", "POST /commit", "GET /images/search",
		"POST /build?session=1", "POST /build?remote=http://example.test/x", "POST /containers/x/start?checkpoint=c",
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, body := ask(t, server, method, path, ""); status != 501 || !strings.Contains(body, "does not support it") {
			t.Errorf("%s %s: status %d %s, want 501", method, path, status, body)
		}
	}
}

// An engine without BuildKit has nothing of builds to tell of or to remove, and nobody to talk to.
func TestWithoutBuildKit(t *testing.T) {
	_, server := newServer(t)
	for path, want := range map[string]string{
		"POST /build/prune":               `200 {"CachesDeleted":[],"SpaceReclaimed":0}`,
		"POST /build/prune?filters=x":     `400 {"message":"cannot read the filters`,
		"GET /system/df?type=build-cache": `200 {"LayersSize":0,"Images":null,"Containers":null,"Volumes":null,"BuildCache":[]}`,
		"POST /session":                   `400 {"message":"cannot open BuildKit: the request upgrades to \"\", not to h2c"}`,
		"POST /grpc":                      `400 {"message":"cannot open BuildKit: the request upgrades to \"\", not to h2c"}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, body := ask(t, server, method, path, ""); !strings.HasPrefix(fmt.Sprint(status, " ", body), want) {
			t.Errorf("%s %s: %d %s, want %s", method, path, status, body, want)
		}
	}
}

func TestAnErrorBeforeProgressIsAStatusAndAfterItAMessage(t *testing.T) {
	_, server := newServer(t)
	status, body := ask(t, server, "POST", "/images/create?fromImage=none&tag=1", "")
	if status != 404 {
		t.Errorf("before: status %d %s, want 404", status, body)
	}

	status, body = ask(t, server, "POST", "/build?t=x", "no tar at all")
	if status != 400 {
		t.Errorf("a broken context: status %d %s, want 400", status, body)
	}
	status, body = ask(t, server, "POST", "/build?t=x", string(contextOf(t, "FROM app\nRUN exit 3\n")))
	if status != 200 {
		t.Fatalf("a failing step: status %d %s, want 200", status, body)
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var last struct {
		Error       string
		ErrorDetail struct{ Message string }
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || !strings.Contains(last.Error, "exit code 3") || last.Error != last.ErrorDetail.Message {
		t.Errorf("a failing step ends with %s (%v)", lines[len(lines)-1], err)
	}
}

func TestAMissingImageIsToldInDockersWords(t *testing.T) {
	_, server := newServer(t)
	for path, body := range map[string]string{
		"GET /images/none:1/json": "", "DELETE /images/none:1": "", "POST /containers/create?name=x1": `{"Image":"none:1"}`,
	} {
		method, path, _ := strings.Cut(path, " ")
		if status, text := ask(t, server, method, path, body); status != 404 || !strings.Contains(text, "No such image: none:1") {
			t.Errorf("%s %s: status %d %s", method, path, status, text)
		}
	}
}

func TestAnEndpointThatIsNull(t *testing.T) {
	_, server := newServer(t)
	for _, version := range []string{"/v1.40", "/v1.51"} {
		body := `{"Image":"app","HostConfig":{"NetworkMode":"bridge"},"NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}`
		if status, text := ask(t, server, "POST", version+"/containers/create", body); status != 201 {
			t.Errorf("%s: status %d %s", version, status, text)
		}
	}
}

func TestPrune(t *testing.T) {
	e, server := newServer(t)
	ctx := context.Background()
	create := func(name, net string, labels map[string]string) {
		_, err := e.ContainerCreate(ctx, name, engine.CreateConfig{
			Config: &container.Config{Image: "app", Labels: labels}, Host: &container.HostConfig{NetworkMode: container.NetworkMode(net), Binds: []string{name + ":/v"}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"used", "unused"} {
		if _, err := e.NetworkCreate(ctx, name, network.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create("running", "used", nil)
	create("stopped", "bridge", nil)
	create("kept", "bridge", map[string]string{"keep": "yes"})
	if err := e.ContainerStart(ctx, "running"); err != nil {
		t.Fatal(err)
	}
	anonymous, err := e.VolumeCreate(ctx, volume.CreateOptions{Labels: map[string]string{"com.docker.volume.anonymous": ""}})
	if err != nil {
		t.Fatal(err)
	}
	e.AddImage("idle", container.Config{Cmd: []string{"true"}})

	stopped, _ := e.ContainerInspect(ctx, "stopped")
	for _, c := range []struct{ path, deleted string }{
		{`/containers/prune?filters={"label!":["keep"]}`, `"ContainersDeleted":["` + stopped.ID + `"]`},
		{`/networks/prune`, `"NetworksDeleted":["unused"]`},
		{`/volumes/prune`, `"VolumesDeleted":["` + anonymous.Name + `"]`},
		{`/volumes/prune?filters={"all":["true"]}`, `"VolumesDeleted":["stopped"]`},
		{`/images/prune`, `"ImagesDeleted":[]`},
		{`/images/prune?filters={"dangling":["false"]}`, `"Untagged":"idle:latest"`},
	} {
		status, body := ask(t, server, "POST", strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(c.path), "")
		if status != 200 || !strings.Contains(body, c.deleted) {
			t.Errorf("%s: status %d %s, want %s", c.path, status, body, c.deleted)
		}
	}
}

func TestLogin(t *testing.T) {
	_, server := newServer(t)
	var registry *httptest.Server
	registry = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch good := user == "me" && password == "secret"; {
		case r.URL.Path == "/v2/" && r.Header.Get("X-Bearer") == "" && user == "token":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+registry.URL+`/token",service="test"`)
			w.WriteHeader(401)
		case r.URL.Path == "/token" && r.URL.Query().Get("service") == "test":
			_, _ = w.Write([]byte(`{"token":"x"}`))
		case !good:
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(401)
		}
	}))
	defer registry.Close()
	for _, c := range []struct {
		user, password string
		want           int
	}{{"me", "secret", 200}, {"token", "any", 200}, {"me", "wrong", 403}} {
		body, _ := json.Marshal(map[string]string{"username": c.user, "password": c.password, "serveraddress": registry.URL})
		if status, text := ask(t, server, "POST", "/auth", string(body)); status != c.want {
			t.Errorf("%s with %s: status %d %s, want %d", c.user, c.password, status, text, c.want)
		}
	}
}

func TestBuildOptionsAreRead(t *testing.T) {
	_, server := newServer(t)
	for query, want := range map[string]int{
		`buildargs={"A":"b"}&labels={"c":"d"}&memory=5`: 200,
		`buildargs=nonsense`:                            400,
		`memory=much`:                                   400,
	} {
		query = strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(query)
		if status, body := ask(t, server, "POST", "/build?t=y&"+query, string(contextOf(t, "FROM app\n"))); status != want {
			t.Errorf("%s: status %d %s, want %d", query, status, body, want)
		}
	}
	req, _ := http.NewRequest("POST", server.URL+"/build?t=y", strings.NewReader(""))
	req.Header.Set("X-Registry-Config", base64.URLEncoding.EncodeToString([]byte("nonsense")))
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("a broken X-Registry-Config: status %d, want 400", resp.StatusCode)
	}
}

func TestStreamsGiveTheirConnectionsBack(t *testing.T) {
	behind := memory.New()
	defer behind.Close()
	behind.AddImage("app", container.Config{Cmd: []string{"sleep", "1000"}})
	e := serve(t, behind)
	ctx := t.Context()
	made, err := e.ContainerCreate(ctx, "c1", engine.CreateConfig{Config: &container.Config{Image: "app"}})
	if err == nil {
		err = e.ContainerStart(ctx, made.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for range 20 {
		id, err := e.ExecCreate(ctx, made.ID, container.ExecOptions{Cmd: []string{"no-such-program"}, AttachStdout: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.ExecStart(ctx, id, false, engine.AttachOptions{}); !errors.Is(err, engine.ErrInvalid) {
			t.Fatalf("exec: %v", err)
		}
		attached, cancel := context.WithCancel(ctx)
		if err := e.ContainerAttach(attached, made.ID, engine.AttachOptions{Stdout: io.Discard, Attached: cancel}); !errors.Is(err, context.Canceled) {
			t.Fatalf("attach: %v", err)
		}
	}
	// The server closes its end when it notices that the client has closed the other; a few may be on their way.
	if after := openFiles(t); after > before+10 {
		t.Errorf("%d files were open, %d are now", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}
