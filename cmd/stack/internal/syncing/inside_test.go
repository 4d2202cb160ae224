package syncing

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/engine"
)

// outputs is what commands print, by service and container.
type outputs struct {
	mu sync.Mutex
	by map[string]*bytes.Buffer
}

func (o *outputs) of(service, container string) io.Writer {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = make(map[string]*bytes.Buffer)
	}
	b := &bytes.Buffer{}
	o.by[service+"/"+container] = b
	return b
}

func (o *outputs) said(name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.by[name]; b != nil {
		return b.String()
	}
	return "nothing"
}

func TestExec(t *testing.T) {
	var out outputs
	w := newWorld(t, Options{Output: out.of})
	w.begin("web", "shop-web-1", "shop-web-2", "shop-web-3")
	w.stop("shop-web-3")
	value := "1"
	err := w.services.Exec(t.Context(), "web", types.ServiceHook{
		Command: []string{"sh", "-c", "echo $A; pwd; id"}, User: "7", WorkingDir: "/tmp", Environment: types.MappingWithEquals{"A": &value},
	}, nil)
	if err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"web/shop-web-1": "1\n/tmp\n7\n", "web/shop-web-2": "1\n/tmp\n7\n", "web/shop-web-3": "nothing"} {
		if got := out.said(name); got != want {
			t.Errorf("%s printed %q, want %q", name, got, want)
		}
	}
}

func TestExecInSome(t *testing.T) {
	var out outputs
	w := newWorld(t, Options{Output: out.of})
	w.begin("web", "shop-web-1", "shop-web-2")
	two, err := w.ContainerInspect(t.Context(), "shop-web-2")
	w.must(err)
	w.must(w.services.Exec(t.Context(), "web", types.ServiceHook{Command: []string{"sh", "-c", "echo x"}}, []string{two.ID, "gone"}))
	for name, want := range map[string]string{"web/shop-web-1": "nothing", "web/shop-web-2": "x\n"} {
		if got := out.said(name); got != want {
			t.Errorf("%s printed %q, want %q", name, got, want)
		}
	}
}

func TestExecFails(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1", "shop-web-2")
	err := w.services.Exec(t.Context(), "web", types.ServiceHook{Command: []string{"sh", "-c", "seq 20; exit 3"}}, nil)
	const want = `"sh -c seq 20; exit 3" failed in container shop-web-1 of service web: exit 3` + "\n  11\n  12\n"
	if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "\n  20\n"+`"sh -c seq 20; exit 3" failed in container shop-web-2`) {
		t.Errorf("error %v\nwant %s", err, want)
	}
	err = w.services.Exec(t.Context(), "web", types.ServiceHook{Command: []string{"nonesuch"}}, nil)
	if !errors.Is(err, engine.ErrInvalid) || !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("error %v", err)
	}
}

func TestSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{})
		w.begin("web", "shop-web-1", "shop-web-2")
		w.create("shop-web-3", "web")
		w.run()
		synctest.Wait()
		if err := w.services.Signal(t.Context(), "web", "SIGKILL"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for _, name := range []string{"shop-web-1", "shop-web-2"} {
			is, err := w.ContainerInspect(t.Context(), name)
			w.must(err)
			if is.State.ExitCode != 137 {
				t.Errorf("%s has not ended by the signal: %d", name, is.State.ExitCode)
			}
		}
		w.Fail("ContainerKill", "", errors.New("nobody is to be sent anything"))
		if err := w.services.Signal(t.Context(), "web", "SIGHUP"); err != nil {
			t.Errorf("to nobody: %v", err)
		}
	})
}

func TestSignalFails(t *testing.T) {
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	err := w.services.Signal(t.Context(), "web", "SIGNONE")
	if err == nil || !strings.HasPrefix(err.Error(), "cannot send SIGNONE to container shop-web-1 of service web: ") {
		t.Errorf("error %v", err)
	}
	is, failed := w.ContainerInspect(t.Context(), "shop-web-1")
	w.must(failed)
	if err != nil && strings.Contains(err.Error(), is.ID) {
		t.Errorf("an ID is of no use: %v", err)
	}
}

// TestEnded: what has ended, or is gone, before anybody has told is no error.
func TestEnded(t *testing.T) {
	for name, goes := range map[string]func(w *world){
		"ended": func(w *world) { w.stop("shop-web-1") },
		"gone":  func(w *world) { w.remove("shop-web-1") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			w.begin("web", "shop-web-1")
			if _, err := w.services.members.of(t.Context(), "web"); err != nil {
				t.Fatal(err)
			}
			goes(w)
			if err := w.services.Signal(t.Context(), "web", "SIGHUP"); err != nil {
				t.Error(err)
			}
			if err := w.services.Exec(t.Context(), "web", types.ServiceHook{Command: []string{"true"}}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	w := newWorld(t, Options{})
	w.begin("web", "shop-web-1")
	w.must(w.ContainerPause(t.Context(), "shop-web-1"))
	if err := w.services.Exec(t.Context(), "web", types.ServiceHook{Command: []string{"true"}}, nil); !errors.Is(err, engine.ErrConflict) {
		t.Errorf("one that is paused: %v", err)
	}
}
