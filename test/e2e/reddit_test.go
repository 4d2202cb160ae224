package e2e

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReddit is the life of examples/reddit: one site, up once, and looked at from all sides.
func TestReddit(t *testing.T) {
	h := examplesHost(t)
	dir := h.example("reddit")
	if err := copyFile("../../examples/reddit/post_db/post_db", filepath.Join(dir, "post_db/post_db")); err != nil {
		t.Fatalf("%v: make examples/reddit/post_db/post_db builds it", err)
	}
	port := freePort(t)
	setEnv(t, dir, map[string]string{"UI_PORT": port, "COMPOSE_PROJECT_NAME": "e2ereddit"})
	t.Cleanup(func() {
		h.t = t
		h.stack(dir, "down", "-v", "-t", "2")
	})
	h.stack(dir, "up", "-d", "--wait")
	r := &reddit{host: h, dir: dir, site: site{t, "http://127.0.0.1:" + port}}

	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"a post is listed", r.submits},
		{"nothing to do", r.settled},
		{"services answer for those behind them", r.healthy},
		{"ui is cut off from the database", r.isolated},
		{"an edited view shows without a build", r.edited},
		{"edited Python shows without a build", r.editedPython},
		{"the docker CLI works on the socket", r.dockerCLI},
		{"killing the engine is survived", r.engineKilled},
		{"a changed port recreates ui only", r.changed},
		{"down keeps the data", r.downKeeps},
		{"down -v forgets it", r.downForgets},
	} {
		if !t.Run(step.name, func(t *testing.T) { h.t, r.site.t = t, t; step.do(t) }) {
			break
		}
	}
	h.t = t
}

type reddit struct {
	*host
	dir  string
	site site
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

func (r *reddit) listed() bool {
	code, body := r.site.get("/")
	return code == 200 && strings.Contains(body, "An example domain")
}

func (r *reddit) submits(t *testing.T) {
	if code, body := r.site.post("/new", url.Values{"title": {"An example domain"}, "link": {"https://example.org/"}}); code != 200 || !strings.Contains(body, "Comments") {
		t.Fatalf("submitting answers %d:\n%s", code, body)
	}
	if !r.listed() {
		t.Fatal("the post is not listed")
	}
}

func (r *reddit) settled(t *testing.T) {
	before := r.ids(t)
	r.stack(r.dir, "plan") // exits 2 if there were something to do
	r.stack(r.dir, "up", "-d")
	if after := r.ids(t); after != before {
		t.Errorf("up -d again replaced containers:\n%s\n%s", before, after)
	}
}

// ids is the containers' IDs, in the order of their names.
func (r *reddit) ids(t *testing.T) string {
	t.Helper()
	var out []string
	for _, service := range []string{"comment", "post", "post_db", "ui"} {
		out = append(out, service+" "+strings.TrimSpace(r.stack(r.dir, "ps", "-q", service)))
	}
	return strings.Join(out, "\n")
}

func (r *reddit) healthy(t *testing.T) {
	if code, body := r.site.get("/healthcheck"); code != 200 {
		t.Errorf("/healthcheck answers %d: %s", code, body)
	}
	r.stack(r.dir, "stop", "comment")
	if code, body := r.site.get("/healthcheck"); code != 503 || !strings.Contains(body, "comment does not answer") {
		t.Errorf("/healthcheck answers %d without comment: %s", code, body)
	}
	r.stack(r.dir, "up", "-d", "--wait")
	if code, body := r.site.get("/healthcheck"); code != 200 {
		t.Errorf("/healthcheck answers %d after comment is back: %s", code, body)
	}
}

func (r *reddit) isolated(t *testing.T) {
	for _, name := range []string{"post_db", "comment_db"} {
		if out, err := r.try(r.dir, "exec", "-T", "ui", "getent", "hosts", name); err == nil {
			t.Errorf("ui resolves %s: %s", name, out)
		}
		if _, err := r.try(r.dir, "exec", "-T", "post", "getent", "hosts", name); err != nil {
			t.Errorf("post cannot resolve %s: %v", name, err)
		}
	}
	address := strings.TrimSpace(r.docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", strings.TrimSpace(r.stack(r.dir, "ps", "-q", "post_db"))))
	if !strings.HasPrefix(address, "10.0.2.") {
		t.Fatalf("post_db has the address %q", address)
	}
	connect := "timeout 2 bash -c 'exec 3<>/dev/tcp/" + address + "/27017'"
	if _, err := r.try(r.dir, "exec", "-T", "ui", "sh", "-c", connect); err == nil {
		t.Error("ui reaches post_db by its address")
	}
	if _, err := r.try(r.dir, "exec", "-T", "post", "sh", "-c", connect); err != nil {
		t.Errorf("post does not reach post_db by its address: %v", err)
	}
}

func (r *reddit) replace(t *testing.T, file, old, new string) {
	t.Helper()
	path := filepath.Join(r.dir, file)
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), old) {
		t.Fatalf("%s does not hold %q: %v", file, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(data), old, new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *reddit) edited(t *testing.T) {
	r.replace(t, "ui/views/layout.erb", "Submit a link", "Share a link")
	if code, body := r.site.get("/"); code != 200 || !strings.Contains(body, "Share a link") {
		t.Errorf("the next request answers %d without the edit:\n%s", code, body)
	}
}

func (r *reddit) editedPython(t *testing.T) {
	r.replace(t, "post/post.py", `return jsonify(status="ok")`, `return jsonify(status="very well")`)
	until(t, "the edited Python answers", func() bool {
		_, body := r.site.get("/healthcheck")
		return strings.Contains(body, "very well")
	})
	r.replace(t, "post/post.py", `return jsonify(status="very well")`, `return jsonify(status="ok")`)
	until(t, "the Python of before answers", func() bool {
		code, _ := r.site.get("/healthcheck")
		return code == 200
	})
}

func (r *reddit) dockerCLI(t *testing.T) {
	if out := r.docker("ps"); !strings.Contains(out, "e2ereddit-ui-1") || !strings.Contains(out, "(healthy)") {
		t.Errorf("docker ps:\n%s", out)
	}
	if out := r.docker("logs", "e2ereddit-ui-1"); !strings.Contains(out, "Puma starting") {
		t.Errorf("docker logs:\n%s", out)
	}
	if out := r.docker("inspect", "-f", "{{.State.Status}} {{index .Config.Labels \"com.docker.compose.service\"}}", "e2ereddit-ui-1"); strings.TrimSpace(out) != "running ui" {
		t.Errorf("docker inspect: %q", out)
	}
	if out := r.docker("exec", "e2ereddit-ui-1", "printenv", "POST_SERVICE_HOST"); strings.TrimSpace(out) != "post" {
		t.Errorf("docker exec: %q", out)
	}
}

// engineKilled: the site goes on, and what happened meanwhile is known as soon as there is an engine again.
func (r *reddit) engineKilled(t *testing.T) {
	victim := r.inspect(t, "comment")
	lines := strings.Count(r.stack(r.dir, "logs", "--no-log-prefix", "post"), "\n")
	if err := syscall.Kill(r.status().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if !r.listed() {
		t.Error("the site does not answer without the engine")
	}
	if code, body := r.site.get("/healthcheck"); code != 200 {
		t.Errorf("names do not resolve without the engine: %d %s", code, body)
	}
	if err := syscall.Kill(victim.State.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "comment has gone", func() bool { return syscall.Kill(victim.State.Pid, 0) != nil })

	out := r.stack(r.dir, "ps", "-a", "--format", "json") // starts an engine
	if strings.Count(out, `"running"`) < 3 {
		t.Errorf("ps is not right at once:\n%s", out)
	}
	r.stack(r.dir, "up", "-d", "--wait")
	after := r.inspect(t, "comment")
	if after.ID != victim.ID || after.RestartCount != victim.RestartCount+1 || !after.State.Running {
		t.Errorf("comment was %+v, is %+v: want it restarted once by its policy", victim, after)
	}
	if out := r.ends(victim.ID); !strings.Contains(out, "137") {
		t.Errorf("the exit code of what died meanwhile is %q, want 137", out)
	}
	if code, body := r.site.get("/healthcheck"); code != 200 {
		t.Errorf("/healthcheck answers %d afterwards: %s", code, body)
	}
	if now := strings.Count(r.stack(r.dir, "logs", "--no-log-prefix", "post"), "\n"); now <= lines {
		t.Errorf("post has %d lines of log, had %d: the requests made without the engine are missing", now, lines)
	}
}

// ends is the exit codes with which the container has ended so far. The docker CLI cuts the end of the time that it asks for to
// whole seconds, so it is asked for the second that is under way as well.
func (r *reddit) ends(id string) string {
	r.t.Helper()
	until := strconv.FormatInt(time.Now().Unix()+1, 10)
	return r.docker("events", "--since", "1h", "--until", until, "--filter", "event=die", "--filter", "container="+id,
		"--format", "{{index .Actor.Attributes \"exitCode\"}}")
}

type inspected struct {
	ID           string
	RestartCount int
	State        struct {
		Pid     int
		Running bool
	}
}

func (r *reddit) inspect(t *testing.T, service string) inspected {
	t.Helper()
	var got []inspected
	if err := json.Unmarshal([]byte(r.docker("inspect", "e2ereddit-"+service+"-1")), &got); err != nil || len(got) != 1 {
		t.Fatalf("docker inspect %s: %v", service, err)
	}
	return got[0]
}

func (r *reddit) changed(t *testing.T) {
	before := r.ids(t)
	port := freePort(t)
	setEnv(t, r.dir, map[string]string{"UI_PORT": port})
	if out, err := r.try(r.dir, "plan"); err == nil || !strings.Contains(out, port) {
		t.Errorf("plan does not name the port %s: %v\n%s", port, err, out)
	}
	r.stack(r.dir, "up", "-d", "--wait")
	r.site.base = "http://127.0.0.1:" + port
	if !r.listed() {
		t.Error("the site does not answer at its new port")
	}
	was, is := strings.Split(before, "\n"), strings.Split(r.ids(t), "\n")
	for i := range was {
		if same := was[i] == is[i]; same == strings.HasPrefix(was[i], "ui ") {
			t.Errorf("%q became %q", was[i], is[i])
		}
	}
}

func (r *reddit) downKeeps(t *testing.T) {
	r.stack(r.dir, "down", "-t", "2")
	r.stack(r.dir, "up", "-d", "--wait")
	if !r.listed() {
		t.Error("the post is gone after down and up")
	}
}

func (r *reddit) downForgets(t *testing.T) {
	r.stack(r.dir, "down", "-v", "-t", "2")
	r.stack(r.dir, "up", "-d", "--wait")
	if r.listed() {
		t.Error("the post is still there after down -v")
	}
}
