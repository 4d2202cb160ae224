package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/cmd/stack/internal/view"
	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/convergence/execute"
	"stackrun.dev/stack/convergence/feed"
	"stackrun.dev/stack/watch/rules"
	watchsession "stackrun.dev/stack/watch/session"
)

// aftercare says when a service that something was done to because of changed files becomes unhealthy afterwards or ends, and when
// it is healthy again. It is driven by the engine's events.
type aftercare struct {
	*session
	project string
	busy    func(service string) bool // its containers may be ending because of a reaction
	wanted  func() (stopped []string, down bool)
	shown   func(service string) bool // what its containers write is on the screen anyway
	lines   *herald

	mu     sync.Mutex
	acted  map[string]act     // by service: what was done last
	killed map[string]string  // by container: the signal that it was sent last
	early  map[string]exit    // by service: a container that ended before it was known what was done
	ill    map[string]illness // by container: what was told of its health
}

// act is what was done to a service.
type act struct {
	at     time.Time
	what   string // for example "it was restarted"
	signal string // that was sent, as a number
	runs   bool   // its containers ran on meanwhile
}

// exit is the end of a container.
type exit struct {
	events.Message
	signal string // that it was sent last; empty: none since its start
}

// illness is what was told of a container's health.
type illness struct {
	at   time.Time // that it is unhealthy
	over bool      // and that it is healthy again
}

// careTime is how long what happens to a service is put down to what was done to it: longer than most health checks take.
const careTime = 5 * time.Minute

func (s *session) newAftercare(project string, lines *herald, r *reactions, shown func(service string) bool) *aftercare {
	return &aftercare{
		session: s, project: project, busy: r.busy, lines: lines, shown: shown,
		wanted: func() ([]string, bool) { return s.intent(context.Background(), project, r.began)() },
		acted:  make(map[string]act), killed: make(map[string]string), early: make(map[string]exit), ill: make(map[string]illness),
	}
}

// run listens until the context is done.
func (a *aftercare) run(ctx context.Context) {
	stream := feed.Subscribe(ctx, a.Engine, feed.Containers(a.project))
	stream.Run(func(m events.Message) { a.heard(ctx, m) }, func(error) error { return nil })
}

// did takes in what was done to a service.
func (a *aftercare) did(r watchsession.Report) {
	now := act{at: time.Now()}
	switch {
	case r.Err != nil:
		return
	case r.Action == rules.Signal:
		now.what, now.runs, now.signal = "it was sent "+r.Signal, true, number(r.Signal)
	case r.Action == rules.Exec, r.Action == rules.SyncExec:
		now.what, now.runs = "a command was run in it", true
	case r.Action == rules.Restart, r.Action == rules.SyncRestart:
		now.what = "it was restarted"
	case r.Action == rules.Rebuild:
		now.what = "it was rebuilt"
	default:
		return
	}
	a.mu.Lock()
	a.acted[r.Service] = now
	early, ended := a.early[r.Service]
	delete(a.early, r.Service)
	a.mu.Unlock()
	if ended && time.Unix(0, early.TimeNano).After(now.at.Add(-r.Took)) {
		a.ended(context.Background(), early)
	}
}

// number is the number of a signal, as events have it.
func number(signal string) string {
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(signal), "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return fmt.Sprint(int(n))
	}
	return signal
}

// heard takes in what happens to a container.
func (a *aftercare) heard(ctx context.Context, m events.Message) {
	if m.Actor.Attributes[desired.LabelService] == "" || strings.EqualFold(m.Actor.Attributes[desired.LabelOneOff], "true") {
		return
	}
	switch m.Action {
	case events.ActionKill:
		a.mu.Lock()
		a.killed[m.Actor.ID] = number(m.Actor.Attributes["signal"])
		a.mu.Unlock()
	case events.ActionDie:
		a.mu.Lock()
		signal := a.killed[m.Actor.ID]
		a.mu.Unlock()
		a.ended(ctx, exit{m, signal})
	case events.ActionStart:
		a.mu.Lock()
		delete(a.killed, m.Actor.ID)
		a.mu.Unlock()
	case events.ActionDestroy:
		a.mu.Lock()
		delete(a.killed, m.Actor.ID)
		delete(a.ill, m.Actor.ID)
		a.mu.Unlock()
	case events.ActionHealthStatusUnhealthy:
		a.unhealthy(ctx, m)
	case events.ActionHealthStatusHealthy:
		a.healthy(m)
	}
}

// cares returns what was done to the service of the container not long ago.
func (a *aftercare) cares(m events.Message) (act, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	last, ok := a.acted[m.Actor.Attributes[desired.LabelService]]
	return last, ok && time.Since(last.at) < careTime
}

// ended tells that a container has, unless somebody wanted that. It may end before it is known what was done to it.
func (a *aftercare) ended(ctx context.Context, e exit) {
	service, code := e.Actor.Attributes[desired.LabelService], e.Actor.Attributes["exitCode"]
	if a.busy(service) {
		return
	}
	last, ok := a.cares(e.Message)
	wanted := e.signal != "" && e.signal != last.signal
	if !ok || wanted {
		a.mu.Lock()
		a.early[service] = e
		a.mu.Unlock()
		return
	}
	if code == "0" && !last.runs || a.onPurpose(service) {
		return
	}
	a.tell(ctx, e.Message, fmt.Sprintf("has ended with exit code %s after %s", code, last.what), false)
}

// onPurpose says that somebody has stopped the service or taken the project down.
func (a *aftercare) onPurpose(service string) bool {
	stopped, down := a.wanted()
	return down || slices.Contains(stopped, service)
}

// unhealthy tells that a container is, once for each time that something was done to its service: its health may come and go.
func (a *aftercare) unhealthy(ctx context.Context, m events.Message) {
	last, ok := a.cares(m)
	a.mu.Lock()
	news := ok && !a.ill[m.Actor.ID].at.After(last.at)
	if news {
		a.ill[m.Actor.ID] = illness{at: time.Now()}
	}
	a.mu.Unlock()
	if news {
		a.tell(ctx, m, "is unhealthy after "+last.what, true)
	}
}

func (a *aftercare) healthy(m events.Message) {
	a.mu.Lock()
	told, known := a.ill[m.Actor.ID]
	news := known && !told.over
	if news {
		a.ill[m.Actor.ID] = illness{told.at, true}
	}
	a.mu.Unlock()
	if news {
		a.lines.tell(func(c *view.Changes) {
			c.About(m.Actor.Attributes[desired.LabelService], "container "+m.Actor.Attributes["name"]+" is healthy again")
		})
	}
}

const (
	careLines = 10
	askTime   = 2 * time.Second // for the details
)

// tell says it, with what the container has to say about it, unless that was to be seen.
func (a *aftercare) tell(ctx context.Context, m events.Message, what string, health bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	f := execute.Failure{Err: errors.New("container " + m.Actor.Attributes["name"] + " " + what)}
	if c, err := a.ContainerInspect(ctx, m.Actor.ID); err == nil && c.State != nil {
		f.OOM, f.Reason = c.State.OOMKilled, c.State.Error
		if h := c.State.Health; health && h != nil && len(h.Log) > 0 {
			f.Health = h.Log[len(h.Log)-1].Output
		}
	}
	service := m.Actor.Attributes[desired.LabelService]
	if !a.shown(service) {
		f.Logs = a.lastLines(ctx, m.Actor.ID)
	}
	a.lines.tell(func(c *view.Changes) { c.Bad(service, f.Error()) })
}

func (a *aftercare) lastLines(ctx context.Context, id string) []string {
	var out []string
	for entry, err := range a.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: fmt.Sprint(careLines)}) {
		if err != nil {
			break
		}
		out = append(out, view.Clean(strings.TrimRight(string(entry.Line), "\r\n")))
	}
	return out
}
