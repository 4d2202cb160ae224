package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The container makes files of its own: in folders that are synced, in one that is ignored, and where links of the host lead.
const mirroredProject = `name: mirrored
services:
  app:
    image: ` + testImage + `
    command:
      - sh
      - -c
      - |
        for dir in guard app app/made app/tmp app/firm app/alpha; do mkdir -p /srv/$$dir; echo own >/srv/$$dir/own.txt; done
        exec sleep 3600
    init: true
    stop_grace_period: 0s
    develop:
      watch:
        - {action: sync, path: ./src, target: /srv/app, ignore: [tmp/, "**/*.log", "**/node_modules"]}
        - {action: sync, path: ./src/lib, target: /srv/lib, include: ["**/*.rb"]}
        - {action: sync, path: ./assets, target: /srv/app/public}
        - {action: sync, path: ./single.conf, target: /srv/single.conf}
  other:
    image: ` + testImage + `
    command: ["sleep", "3600"]
    init: true
    stop_grace_period: 0s
    user: "1000"
    develop:
      watch:
        - {action: sync, path: ./src, target: /srv/copy}
`

// mirror is the project while it is watched.
type mirror struct {
	t       *testing.T
	editor  *editor
	dir     string
	targets []*target
	command func(args ...string) *exec.Cmd
	watch   *exec.Cmd
	said    syncedBuffer
}

// syncedBuffer may be read while it is written.
type syncedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncedBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncedBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func seed(t *testing.T) uint64 {
	s := uint64(time.Now().UnixNano())
	if text := os.Getenv("STACK_WATCH_SEED"); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("STACK_WATCH_SEED=%d", s)
	return s
}

func newMirror(t *testing.T, dir string, command func(args ...string) *exec.Cmd) *mirror {
	m := &mirror{t: t, dir: dir, command: command}
	src, assets := filepath.Join(dir, "src"), filepath.Join(dir, "assets")
	m.editor = &editor{
		t: t, rng: rand.New(rand.NewPCG(seed(t), 0)),
		roots: []string{src, assets}, outside: filepath.Join(dir, "outside"),
		solid: []string{filepath.Join(src, "lib"), filepath.Join(src, "firm")},
	}
	for _, d := range []string{src, assets, m.editor.outside} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ignored := func(rel string) bool {
		for i, part := range strings.Split(rel, "/") {
			if i == 0 && part == "tmp" || strings.HasSuffix(part, ".log") || part == "node_modules" {
				return true
			}
		}
		return false
	}
	own := map[string]string{}
	for _, d := range []string{"guard", "app", "app/made", "app/tmp", "app/firm", "app/alpha"} {
		own["/srv/"+d+"/own.txt"] = "own\n"
	}
	m.targets = []*target{
		{
			service: "app", folder: "/srv", owner: "0", own: own, loose: []string{"/srv/lib"},
			spent: map[string]bool{"/srv/app/alpha/own.txt": true},
			rules: []mirrored{
				{path: src, target: "/srv/app", counts: func(rel string) bool { return !ignored(rel) }},
				{path: filepath.Join(src, "lib"), target: "/srv/lib", loose: true, counts: func(rel string) bool { return strings.Contains(rel+"/", ".rb/") }},
				{path: assets, target: "/srv/app/public"},
				{path: filepath.Join(dir, "single.conf"), target: "/srv/single.conf"},
			},
		},
		{service: "other", folder: "/srv", owner: "1000", rules: []mirrored{{path: src, target: "/srv/copy"}}},
	}
	return m
}

// begin brings the project up and watches it.
func (m *mirror) begin() {
	m.do("up", "-d", "-t", "0")
	m.t.Cleanup(func() { m.do("down", "-v", "-t", "0") })
	m.watch = m.command("watch", "--no-up")
	m.watch.Stdout, m.watch.Stderr = &m.said, &m.said
	if err := m.watch.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(m.end)
}

func (m *mirror) end() {
	_ = m.watch.Process.Signal(syscall.SIGINT)
	done := make(chan error, 1)
	go func() { done <- m.watch.Wait() }()
	select {
	case <-done:
	case <-time.After(patience):
		m.t.Error("watch does not end")
		_ = m.watch.Process.Signal(syscall.SIGQUIT)
		<-done
	}
	if m.t.Failed() {
		m.t.Logf("watch said:\n%s", lastLines(m.said.String(), 200))
		m.t.Logf("the last things done:\n%s", lastLines(strings.Join(m.editor.done, "\n"), 150))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func (m *mirror) do(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("stack %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (m *mirror) try(args ...string) (string, error) {
	cmd := m.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = &failure{err, errs.String()}
	}
	return out.String(), err
}

// failure is what a command has said about its failure.
type failure struct {
	cause error
	said  string
}

func (f *failure) Error() string { return f.cause.Error() + "\n" + f.said }

// rests waits until the targets are as the sources are, on a busy machine too.
func (m *mirror) rests(after string) {
	m.t.Helper()
	begin := time.Now()
	for {
		wrong := m.differences()
		if len(wrong) == 0 {
			m.t.Logf("%s: at rest after %v", after, time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > 2*patience {
			m.t.Fatalf("%s: after %v the target is another one:\n%s", after, 2*patience, strings.Join(wrong, "\n"))
		}
		if m.ended() {
			m.t.Fatalf("%s: watch has ended", after)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ended looks whether watch runs, without waiting for it.
func (m *mirror) ended() bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(m.watch.Process.Pid) + "/stat")
	return err != nil || strings.Contains(string(data), ") Z ")
}

func (m *mirror) differences() []string {
	m.t.Helper()
	var out []string
	for _, w := range m.targets {
		text, err := m.try("cp", "-a", w.service+":"+w.folder, "-")
		if err != nil {
			return []string{err.Error()}
		}
		have, err := archived(strings.NewReader(text), w.folder)
		if err != nil {
			return []string{err.Error()}
		}
		wrong, err := w.differs(have)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, line := range wrong {
			out = append(out, w.service+": "+line)
		}
	}
	return out
}

// edits does n random things, with a pause now and then.
func (m *mirror) edits(n int) {
	e := m.editor
	for range n {
		e.act()
		switch e.rng.IntN(40) {
		case 0:
			time.Sleep(time.Duration(e.rng.IntN(150)) * time.Millisecond)
		case 1, 2, 3:
			time.Sleep(time.Duration(e.rng.IntN(10)) * time.Millisecond)
		case 4:
			e.did("edit the single file", m.editSingle)
		}
	}
}

func (m *mirror) editSingle() (string, error) {
	path := filepath.Join(m.dir, "single.conf")
	switch m.editor.rng.IntN(4) {
	case 0:
		return path, os.Remove(path)
	case 1:
		if err := writeAt(path+".new", m.editor.content()); err != nil {
			return path, err
		}
		return path, os.Rename(path+".new", path)
	}
	return path, writeAt(path, m.editor.content())
}

// away moves a watched folder away and brings it back.
func (m *mirror) away(root string) {
	m.editor.did("move away and back", func() (string, error) {
		if err := os.Rename(root, root+".away"); err != nil {
			return root, err
		}
		time.Sleep(time.Duration(m.editor.rng.IntN(200)) * time.Millisecond)
		return root, os.Rename(root+".away", root)
	})
}

// deaf stops watch while more happens than the kernel keeps for it.
func (m *mirror) deaf() {
	if err := m.watch.Process.Signal(syscall.SIGSTOP); err != nil {
		m.t.Fatal(err)
	}
	for range 4 {
		m.checkout(2000)
	}
	m.edits(100)
	if err := m.watch.Process.Signal(syscall.SIGCONT); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirror) checkout(n int) {
	m.editor.did("check out", func() (string, error) { return m.editor.checkout(n) })
}

// TestWatchEditorOnEmbedded edits at random what is watched. The engine is killed and the container replaced meanwhile.
func TestWatchEditorOnEmbedded(t *testing.T) {
	h := newHost(t)
	h.stack(h.dir, "image", "import", h.imageFile(), testImage)
	dir := h.write("mirrored", map[string]string{"compose.yaml": mirroredProject, "single.conf": "one\n"})
	m := newMirror(t, dir, func(args ...string) *exec.Cmd { return h.command(dir, args...) })
	m.edits(300) // something is there before watching begins
	m.begin()
	m.rests("the comparison at the beginning")
	m.edits(600)
	m.rests("600 edits")
	m.checkout(2000)
	m.rests("a checkout of 2000 files")

	m.edits(200)
	if err := syscall.Kill(h.status().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	m.edits(300)
	m.do("ps") // starts an engine
	m.rests("the engine was killed")

	m.edits(200)
	m.do("up", "-d", "--force-recreate", "-t", "0", "app")
	m.edits(200)
	m.rests("the container was replaced")

	m.deaf()
	m.rests("events were lost")
	for _, root := range m.editor.roots {
		m.away(root)
		m.edits(50)
	}
	m.rests("watched folders were away")
	for range 3 {
		m.edits(400)
		m.rests("400 edits")
	}
}

// TestWatchEditorOnDocker is shorter.
func TestWatchEditorOnDocker(t *testing.T) {
	o := newOnDocker(t)
	o.dir = o.write("mirrored", map[string]string{"compose.yaml": mirroredProject, "single.conf": "one\n"})
	m := newMirror(t, o.dir, func(args ...string) *exec.Cmd {
		return o.command(o.dir, append([]string{"--host", o.daemon.Host}, args...)...)
	})
	m.edits(200)
	m.begin()
	m.rests("the comparison at the beginning")
	m.edits(400)
	m.rests("400 edits")
	m.checkout(500)
	m.rests("a checkout of 500 files")
	m.do("up", "-d", "--force-recreate", "-t", "0", "app")
	m.edits(100)
	m.rests("the container was replaced")
	m.deaf()
	m.rests("events were lost")
}
