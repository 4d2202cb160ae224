package syncing

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
	"stackrun.dev/stack/watch/session"
	"stackrun.dev/stack/watch/tree"
)

// world is a project in an engine in memory, and a directory of the host.
type world struct {
	*memory.Engine
	t        testing.TB
	services *Services
	dir      string

	mu      sync.Mutex
	renewed []string
	told    []string
	lists   int
	synced  []string           // the containers that got something, in order
	opened  []string           // sources, without the directory
	before  func(ref string)   // is called before files are written; may be nil
	cut     context.CancelFunc // ends the stream of events
	late    chan struct{}      // events come when it is closed; may be nil
	answer  chan struct{}      // a list is handed out when it is closed; may be nil
}

func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{Engine: memory.New(), t: t, dir: t.TempDir()}
	t.Cleanup(func() { w.Engine.Close() })
	w.AddImage("busybox", container.Config{})
	o.Project = "shop"
	o.Renewed = func(service string) { w.note(&w.renewed, service) }
	o.Told = func(err error) { w.note(&w.told, err.Error()) }
	w.services = New(w, o)
	w.services.open = func(name string) (file, error) {
		w.note(&w.opened, strings.TrimPrefix(name, w.dir))
		return openFile(name)
	}
	return w
}

func (w *world) note(list *[]string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, text)
}

// took returns what was noted since it was asked last.
func (w *world) took(list *[]string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := strings.Join(*list, " ")
	*list = nil
	return out
}

// Events is the engine's, until cut is called.
func (w *world) Events(ctx context.Context, opts events.ListOptions) (<-chan events.Message, <-chan error) {
	ctx, cut := context.WithCancel(ctx)
	messages, over := w.Engine.Events(ctx, opts)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if w.late == nil {
		return messages, over
	}
	out := make(chan events.Message)
	go func() {
		for {
			select {
			case m := <-messages:
				w.mu.Lock()
				late := w.late
				w.mu.Unlock()
				select {
				case <-late:
				case <-ctx.Done():
					return
				}
				select {
				case out <- m:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, over
}

func (w *world) ContainerList(ctx context.Context, opts container.ListOptions) ([]container.Summary, error) {
	w.mu.Lock()
	w.lists++
	w.mu.Unlock()
	list, err := w.Engine.ContainerList(ctx, opts)
	if w.answer != nil {
		<-w.answer
	}
	return list, err
}

func (w *world) SyncFiles(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	if w.before != nil {
		w.before(ref)
	}
	err := w.Engine.SyncFiles(ctx, ref, content, opts)
	if is, failed := w.ContainerInspect(ctx, ref); failed == nil {
		w.note(&w.synced, strings.TrimPrefix(is.Name, "/"))
	}
	return err
}

// run follows the engine until the test ends.
func (w *world) run() {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.services.Run(ctx)
	}()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// create makes a container that does not run yet.
func (w *world) create(name, service string, change ...func(*engine.CreateConfig)) {
	w.t.Helper()
	cfg := engine.CreateConfig{
		Config: &container.Config{Image: "busybox", Cmd: []string{"sleep", "100000"}, Labels: map[string]string{
			desired.LabelProject: "shop", desired.LabelService: service, desired.LabelOneOff: "False",
		}},
		Host: &container.HostConfig{},
	}
	for _, c := range change {
		c(&cfg)
	}
	if _, err := w.ContainerCreate(w.t.Context(), name, cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) start(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.must(w.ContainerStart(w.t.Context(), name))
	}
}

// begin creates and starts.
func (w *world) begin(service string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.create(name, service)
		w.start(name)
	}
}

func (w *world) stop(name string) {
	w.t.Helper()
	w.must(w.ContainerStop(w.t.Context(), name, container.StopOptions{Timeout: new(int)}))
}

func (w *world) restart(name string) {
	w.t.Helper()
	w.must(w.ContainerRestart(w.t.Context(), name, container.StopOptions{Timeout: new(int)}))
}

func (w *world) remove(name string) {
	w.t.Helper()
	w.must(w.ContainerRemove(w.t.Context(), name, container.RemoveOptions{Force: true}))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// write makes a file of the host.
func (w *world) write(name, content string, mode fs.FileMode) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	w.must(os.WriteFile(path, []byte(content), mode))
	w.must(os.Chmod(path, mode))
}

// at sets when a file of the host was written.
func (w *world) at(name string, when time.Time) {
	w.t.Helper()
	w.must(os.Chtimes(filepath.Join(w.dir, name), when, when))
}

// file is a path of the host as a tree has seen it, to be at /app.
func (w *world) file(name string) session.File {
	w.t.Helper()
	f := session.File{Source: filepath.Join(w.dir, name), Target: "/app/" + name}
	info, err := os.Lstat(f.Source)
	w.must(err)
	f.Entry = tree.Entry{Mode: info.Mode() &^ fs.ModeType, ModTime: info.ModTime()}
	switch {
	case info.IsDir():
		f.Entry.Kind = tree.Dir
	case info.Mode()&fs.ModeSymlink != 0:
		f.Entry.Kind = tree.Link
		f.Entry.Link, err = os.Readlink(f.Source)
	default:
		f.Entry.Kind, f.Entry.Size = tree.File, info.Size()
		var content []byte
		if info.Mode().IsRegular() {
			content, err = os.ReadFile(f.Source)
		}
		sum := sha256.Sum256(content)
		copy(f.Entry.Digest[:], sum[:])
	}
	w.must(err)
	return f
}

func (w *world) files(names ...string) []session.File {
	w.t.Helper()
	var out []session.File
	for _, name := range names {
		out = append(out, w.file(name))
	}
	return out
}

// unread is a file whose content the tree has not read.
func (w *world) unread(name string) session.File {
	w.t.Helper()
	f := w.file(name)
	f.Entry.Digest = tree.Digest{}
	return f
}

// sync syncs to the service web.
func (w *world) sync(work session.Work) session.Synced {
	w.t.Helper()
	synced, err := w.services.Sync(w.t.Context(), "web", work)
	if err != nil {
		w.t.Error(err)
	}
	return synced
}

// content is what a file of a container has; of a link where it leads; of a directory its permissions.
func (w *world) content(name, path string) string {
	w.t.Helper()
	in, _, err := w.CopyFrom(context.Background(), name, path)
	if err != nil {
		return "nothing"
	}
	defer in.Close()
	tr := tar.NewReader(in)
	h, err := tr.Next()
	w.must(err)
	content, err := io.ReadAll(tr)
	w.must(err)
	switch h.Typeflag {
	case tar.TypeDir:
		return "directory " + fmt.Sprintf("%o", h.Mode)
	case tar.TypeSymlink:
		return "link to " + h.Linkname
	}
	return string(content)
}

func (w *world) has(name string, want map[string]string) {
	w.t.Helper()
	paths := make([]string, 0, len(want))
	for path := range want {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		if got := w.content(name, "/app/"+path); got != want[path] {
			w.t.Errorf("%s has %q at %s, want %q", name, clip(got), path, clip(want[path]))
		}
	}
}

func clip(text string) string { return text[:min(len(text), 100)] }
