package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// watchedReddit is examples/reddit while somebody works on it, with `stack up --watch` in a terminal beside.
type watchedReddit struct {
	*reddit
	port string
	said syncedBuffer
	dial time.Duration // how long a connection is waited for: while a container is replaced it may lead nowhere
	lost int           // requests that were not answered since the last save
}

// TestWatchReddit edits one kind of file after the other and takes the time until the site answers otherwise.
func TestWatchReddit(t *testing.T) {
	h := examplesHost(t)
	dir := h.example("reddit")
	if err := copyFile("../../examples/reddit/post_db/post_db", filepath.Join(dir, "post_db/post_db")); err != nil {
		t.Fatalf("%v: make examples/reddit/post_db/post_db builds it", err)
	}
	r := &watchedReddit{reddit: &reddit{host: h, dir: dir}, port: freePort(t), dial: 100 * time.Millisecond}
	setEnv(t, dir, map[string]string{"UI_PORT": r.port, "COMPOSE_PROJECT_NAME": "e2ewatched", "USERNAME": "watched"})
	t.Cleanup(func() {
		h.t = t
		h.stack(dir, "down", "-v", "-t", "2")
	})
	h.stack(dir, "build")
	up := h.command(dir, "--progress", "plain", "up", "--watch")
	up.Stdout, up.Stderr = &r.said, &r.said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.interrupted(t, up) })
	until(t, "the site answers", func() bool {
		code, _ := r.ask("/healthcheck")
		return code == http.StatusOK
	})

	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"a view", r.view},
		{"Python", r.python},
		{"Ruby", r.ruby},
		{"another part of the Ruby", r.rubyRequired},
		{"a Gemfile", r.gemfile},
		{"a Dockerfile", r.dockerfile},
		{"the port", r.portMoved},
		{"a broken file", r.broken},
	} {
		if !t.Run(step.name, func(t *testing.T) { h.t = t; step.do(t) }) {
			break
		}
	}
	h.t = t
}

func (r *watchedReddit) interrupted(t *testing.T, up *exec.Cmd) {
	_ = up.Process.Signal(syscall.SIGINT)
	_ = up.Wait()
	if t.Failed() {
		t.Logf("up --watch said:\n%s", lastLines(r.said.String(), 150))
	}
}

// ask asks the site, which may be away for a moment, or go away before it has answered.
func (r *watchedReddit) ask(path string) (int, string) {
	client := http.Client{Timeout: max(2*time.Second, r.dial), Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: (&net.Dialer{Timeout: r.dial}).DialContext,
	}}
	res, err := client.Get("http://127.0.0.1:" + r.port + path)
	if err != nil {
		r.lost++
		return 0, ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.lost++
	}
	return res.StatusCode, string(body)
}

// shows saves, and takes the time until the path answers with the text.
func (r *watchedReddit) shows(t *testing.T, within time.Duration, save func(), path, text string) {
	t.Helper()
	r.lost = 0
	begin := time.Now()
	save()
	for {
		code, body := r.ask(path)
		took := time.Since(begin).Round(time.Millisecond)
		if strings.Contains(body, text) {
			t.Logf("%s: %v from the save to the answer, %d requests were not answered meanwhile", t.Name(), took, r.lost)
			return
		}
		if took > within {
			t.Fatalf("%v after the save %s answers %d:\n%s", took, path, code, body)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (r *watchedReddit) replacing(t *testing.T, file, old, new string) func() {
	return func() { r.replace(t, file, old, new) }
}

func (r *watchedReddit) view(t *testing.T) {
	before := r.ids(t)
	r.shows(t, 2*time.Second, r.replacing(t, "ui/views/layout.erb", "Submit a link", "Share a link"), "/", "Share a link")
	if now := r.ids(t); now != before {
		t.Errorf("containers were replaced for a view:\n%s\n%s", before, now)
	}
}

func (r *watchedReddit) python(t *testing.T) {
	r.shows(t, 15*time.Second, r.replacing(t, "post/post.py", `return jsonify(status="ok")`, `return jsonify(status="very well")`), "/healthcheck", "very well")
	r.shows(t, 15*time.Second, r.replacing(t, "post/post.py", `return jsonify(status="very well")`, `return jsonify(status="ok")`), "/healthcheck", `"post":"ok"`)
}

// ruby does not load again by itself. Puma does when it gets a signal, and keeps what it listens on: a connection may take its time
// on a busy machine, but none is lost.
func (r *watchedReddit) ruby(t *testing.T) {
	quick := r.dial
	r.dial = patience
	defer func() { r.dial = quick }()
	before := r.ids(t)
	r.shows(t, 10*time.Second, r.replacing(t, "ui/app.rb", "    'ok'\n", "    Bundler.definition.dependencies.map(&:name).join(' ')\n"), "/ping", "puma sinatra")
	if now := r.ids(t); now != before || r.lost > 0 {
		t.Errorf("%d requests were lost; containers before and after:\n%s\n%s", r.lost, before, now)
	}
}

func (r *watchedReddit) rubyRequired(t *testing.T) {
	r.shows(t, 10*time.Second, r.replacing(t, "ui/services.rb", "JSON.parse(res.body)", "JSON.parse(res.body.gsub('\"ok\"', '\"fine\"'))"), "/healthcheck", "fine")
	r.shows(t, 10*time.Second, r.replacing(t, "ui/services.rb", ".gsub('\"ok\"', '\"fine\"')", ""), "/healthcheck", `"status":"ok"`)
}

// gemfile is of the image: what answers afterwards is a container of the new one.
func (r *watchedReddit) gemfile(t *testing.T) {
	r.shows(t, patience, r.replacing(t, "ui/Gemfile", "gem 'sinatra'\n", "gem 'sinatra'\ngem 'tilt'\n"), "/ping", "puma sinatra tilt")
}

func (r *watchedReddit) dockerfile(t *testing.T) {
	r.replace(t, "ui/app.rb", "Bundler.definition.dependencies.map(&:name).join(' ')", "ENV.fetch('SITE', 'no site')")
	r.shows(t, patience, r.replacing(t, "ui/Dockerfile", "ENV POST_SERVICE_HOST=post", "ENV SITE=reddit POST_SERVICE_HOST=post"), "/ping", "reddit")
}

func (r *watchedReddit) portMoved(t *testing.T) {
	before := strings.Split(r.ids(t), "\n")
	r.port = freePort(t)
	r.shows(t, 15*time.Second, func() { setEnv(t, r.dir, map[string]string{"UI_PORT": r.port}) }, "/ping", "reddit")
	for i, now := range strings.Split(r.ids(t), "\n") {
		if same := now == before[i]; same == strings.HasPrefix(now, "ui ") {
			t.Errorf("%q became %q", before[i], now)
		}
	}
}

// broken files are told with the place, and change nothing.
func (r *watchedReddit) broken(t *testing.T) {
	before := r.ids(t)
	file := filepath.Join(r.dir, "compose.override.yaml")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := 0
	for i, text := range strings.Split(string(whole), "\n") {
		if strings.Contains(text, "RACK_ENV: development") && line == 0 {
			line = i + 1
		}
	}
	begin := time.Now()
	r.replace(t, "compose.override.yaml", "    environment:\n", "    enviroment:\n")
	place := fmt.Sprintf("compose.override.yaml:%d:", line-1)
	until(t, "the place of the mistake is told: "+place, func() bool { return strings.Contains(r.said.String(), place) })
	t.Logf("%s: told after %v", t.Name(), time.Since(begin).Round(time.Millisecond))
	if code, body := r.ask("/ping"); code != http.StatusOK || r.ids(t) != before {
		t.Errorf("a broken file has changed what runs: /ping answers %d %s\n%s", code, body, r.ids(t))
	}
	mended := strings.Replace(string(whole), "RACK_ENV: development", "RACK_ENV: development\n      SITE: mended", 1)
	r.shows(t, 15*time.Second, func() {
		if err := os.WriteFile(file, []byte(mended), 0o644); err != nil {
			t.Fatal(err)
		}
	}, "/ping", "mended")
}
