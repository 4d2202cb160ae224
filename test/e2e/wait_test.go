package e2e

import (
	"strings"
	"testing"
	"time"
)

const waiting = `services:
  web:
    image: e2e/busybox:1
    command: sleep 3600
    init: true
  once:
    image: e2e/busybox:1
    command: "true"
  late:
    image: e2e/busybox:1
    command: sh -c 'test -e /once && exec sleep 3600; echo > /once; exit 3'
    init: true
    restart: on-failure
    healthcheck: {test: "test -e /once", interval: 100ms}
`

// TestUpWaits: --wait is over when everything is up, and says who is not and why.
func TestUpWaits(t *testing.T) {
	h := newHost(t)
	h.busybox()
	dir := h.write("wait", map[string]string{"compose.yaml": waiting})
	h.stack(dir, "up", "-d", "--wait", "--wait-timeout", "30")
	if got := h.stack(dir, "ps", "-a", "--format", "{{.Service}} {{.State}} {{.ExitCode}}"); got != "late running 0\nonce exited 0\nweb running 0\n" {
		t.Errorf("after up --wait:\n%s", got)
	}

	for _, c := range []struct {
		name, service string
		flags, want   []string
		most          time.Duration
	}{
		{"a crash", "command: sh -c 'echo no database; exit 7'", nil, []string{"wait-db-1 exited (7)", "no database"}, 10 * time.Second},
		{"a crash loop", "command: sh -c 'echo no database; exit 7'\n    restart: always", []string{"--wait-timeout", "2"},
			[]string{"took more than 2 seconds", "wait-db-1 exited (7)", "no database"}, 15 * time.Second},
		{"no health", "command: sleep 3600\n    init: true\n    healthcheck: {test: \"echo no answer; exit 1\", interval: 100ms, retries: 2}", []string{"--wait-timeout", "2"},
			[]string{"took more than 2 seconds", "wait-db-1 is unhealthy", "no answer"}, 15 * time.Second},
	} {
		h.write("wait", map[string]string{"compose.yaml": waiting + "  db:\n    image: e2e/busybox:1\n    " + c.service + "\n"})
		began := time.Now()
		out, err := h.try(dir, append([]string{"up", "-d", "--wait"}, c.flags...)...)
		if err == nil {
			t.Fatalf("%s: up --wait accepts it:\n%s", c.name, out)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the message does not hold %q:\n%v", c.name, want, err)
			}
		}
		if took := time.Since(began); took > c.most {
			t.Errorf("%s: it took %v", c.name, took)
		}
	}
	h.stack(dir, "down", "-t", "0")
}
