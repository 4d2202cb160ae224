package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/events"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine/memory"
	"stackrun.dev/stack/watch/rules"
	watchsession "stackrun.dev/stack/watch/session"
)

func TestAftercare(t *testing.T) {
	type step func(a *aftercare)
	did := func(action rules.Action, err error) step {
		return func(a *aftercare) {
			a.did(watchsession.Report{Service: "web", Action: action, Signal: "SIGHUP", Err: err, Took: time.Second})
		}
	}
	heard := func(action events.Action, attributes ...string) step {
		return func(a *aftercare) {
			m := events.Message{Action: action, TimeNano: time.Now().UnixNano()}
			m.Actor = events.Actor{ID: "1", Attributes: map[string]string{desired.LabelService: "web", "name": "x-web-1"}}
			for i := 0; i < len(attributes); i += 2 {
				m.Actor.Attributes[attributes[i]] = attributes[i+1]
			}
			a.heard(context.Background(), m)
		}
	}
	later := func(d time.Duration) step { return func(*aftercare) { time.Sleep(d) } }
	signalled, restarted := did(rules.Signal, nil), did(rules.Restart, nil)
	ill, well := heard(events.ActionHealthStatusUnhealthy), heard(events.ActionHealthStatusHealthy)
	dies := heard(events.ActionDie, "exitCode", "129")
	const ended = "web  container x-web-1 has ended with exit code 129 after it was sent SIGHUP"
	for name, c := range map[string]struct {
		steps   []step
		stopped bool // by somebody
		busy    bool
		want    string
	}{
		"nothing was done":                      {[]step{ill, dies, well}, false, false, ""},
		"unhealthy, once, and again":            {[]step{signalled, later(time.Second), ill, ill, well, well, later(time.Second), ill, well}, false, false, "web  container x-web-1 is unhealthy after it was sent SIGHUP; web  container x-web-1 is healthy again"},
		"unhealthy, and so after more was done": {[]step{signalled, later(time.Second), ill, later(time.Second), restarted, later(time.Second), ill}, false, false, "web  container x-web-1 is unhealthy after it was sent SIGHUP; web  container x-web-1 is unhealthy after it was restarted"},
		"unhealthy much later":                  {[]step{restarted, later(time.Hour), ill, well}, false, false, ""},
		"what failed did nothing":               {[]step{did(rules.Restart, errors.New("no")), ill, dies}, false, false, ""},
		"a copying is no reason":                {[]step{did(rules.Sync, nil), ill}, false, false, ""},
		"it dies of the signal":                 {[]step{signalled, heard(events.ActionKill, "signal", "1"), dies}, false, false, ended},
		"before it is known that it was sent":   {[]step{heard(events.ActionKill, "signal", "1"), dies, signalled}, false, false, ended},
		"long before":                           {[]step{dies, later(time.Minute), signalled}, false, false, ""},
		"somebody kills it":                     {[]step{signalled, heard(events.ActionKill, "signal", "15"), dies}, false, false, ""},
		"it was replaced by others meanwhile":   {[]step{heard(events.ActionKill, "signal", "15"), heard(events.ActionKill, "signal", "9"), dies, heard(events.ActionDestroy), did(rules.Rebuild, nil)}, false, false, ""},
		"it was stopped on purpose":             {[]step{signalled, dies}, true, false, ""},
		"a reaction ends it":                    {[]step{signalled, dies}, false, true, ""},
		"it has done its work":                  {[]step{restarted, heard(events.ActionDie, "exitCode", "0")}, false, false, ""},
		"it ran and has ended":                  {[]step{signalled, heard(events.ActionDie, "exitCode", "0")}, false, false, strings.Replace(ended, "129", "0", 1)},
		"a one-off container":                   {[]step{signalled, heard(events.ActionDie, "exitCode", "1", desired.LabelOneOff, "True")}, false, false, ""},
		"killed in the life before":             {[]step{heard(events.ActionKill, "signal", "15"), heard(events.ActionStart), signalled, dies}, false, false, ended},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := memory.New()
				defer e.Close()
				var out strings.Builder
				lines := &herald{}
				lines.begin(view.NewChanges("plain", "/p", &out, view.Style{}))
				a := (&session{Engine: e}).newAftercare("x", lines, &reactions{}, func(string) bool { return false })
				a.busy = func(string) bool { return c.busy }
				a.wanted = func() ([]string, bool) {
					if c.stopped {
						return []string{"db", "web"}, false
					}
					return nil, false
				}
				for _, step := range c.steps {
					step(a)
				}
				if got := strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", "; "); got != c.want {
					t.Errorf("it says %q, want %q", got, c.want)
				}
			})
		})
	}
}
