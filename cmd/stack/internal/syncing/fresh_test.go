package syncing

import (
	"strings"
	"testing"
	"testing/synctest"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/watch/session"
)

// TestFresh: which containers a comparison tells as new, with what was written there.
func TestFresh(t *testing.T) {
	for name, test := range map[string]struct {
		before func(w *world) // the container begins, and what else happens to it before the comparison
		want   string
	}{
		"one that begins": {func(w *world) { w.begin("web", "shop-web-2") }, "shop-web-2 a b"},
		"one that has what it is to have": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a", "b")})
		}, "shop-web-2"},
		"one that was compared before": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a"), Compare: true, Whole: true})
			synctest.Wait()
		}, ""},
		"one that was compared in part": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a"), Compare: true})
		}, "shop-web-2 b"},
		"one that was started again": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a"), Compare: true, Whole: true})
			w.restart("shop-web-2")
		}, ""},
		"one that is started again and has lost what is in memory": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a"), Compare: true, Whole: true})
			for _, m := range w.services.members.byID {
				m.volatile = true
			}
			w.restart("shop-web-2")
		}, ""},
		"one in which a sync has failed": {func(w *world) {
			w.begin("web", "shop-web-2")
			synctest.Wait()
			w.sync(session.Work{Files: w.files("a"), Compare: true, Whole: true})
			end := w.Fail("SyncFiles", "", engine.Errorf(engine.ErrConflict, "not now"))
			_, _ = w.services.Sync(t.Context(), "web", session.Work{Files: w.files("b")})
			end()
			w.restart("shop-web-2")
		}, "shop-web-2 b"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Options{})
				w.write("a", "a", 0o644)
				w.write("b", "b", 0o644)
				w.begin("web", "shop-web-1")
				w.late = make(chan struct{})
				close(w.late)
				w.run()
				synctest.Wait()
				test.before(w)
				synctest.Wait()
				got := w.sync(session.Work{Files: w.files("a", "b"), Compare: true, Whole: true})
				var told []string
				for _, c := range got.New {
					is, err := w.ContainerInspect(t.Context(), c.Container)
					w.must(err)
					told = append(told, strings.TrimPrefix(is.Name, "/"))
					for _, source := range c.Changed {
						told = append(told, strings.TrimPrefix(source, w.dir+"/"))
					}
				}
				if got := strings.Join(told, " "); got != test.want {
					t.Errorf("new are %q, want %q", got, test.want)
				}
			})
		})
	}
}
