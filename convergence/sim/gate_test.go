package sim

import (
	"strings"
	"testing"
	"testing/synctest"

	"stackrun.dev/stack/convergence"
)

// Nine times nine is enough for a gate between the two.
const gated = `
services:
  a: {image: a, scale: 9, healthcheck: {test: exit 0}}
  b: {image: b, scale: 9, depends_on: {a: {condition: service_healthy, required: REQUIRED}}}
`

// A gate opens when all are healthy; a failure of one keeps it shut, unless it is the outcome alone that counts.
func TestGates(t *testing.T) {
	for _, tc := range []struct {
		required string
		fails    bool
		want     int // how many of b start, when all is over
	}{
		{"true", false, 9},
		{"true", true, 0},
		{"false", false, 9},
		{"false", true, 9},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, d := newFake(), want(t, strings.Replace(gated, "REQUIRED", tc.required, 1))
			f.slow["a"] = true
			f.before = func(call string) error {
				if tc.fails && call == "start x-a-5" {
					return errInjected
				}
				return nil
			}
			done := make(chan error)
			go func() {
				_, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil)
				done <- err
			}()
			synctest.Wait()
			if n := started(f, "x-b-"); n != 0 {
				t.Errorf("%+v: %d of b start before all of a are healthy or have failed", tc, n)
			}
			f.recover("a")
			if err := <-done; (err != nil) != tc.fails || tc.fails && !strings.Contains(err.Error(), errInjected.Error()) {
				t.Errorf("%+v: error %v", tc, err)
			}
			if n := started(f, "x-b-"); n != tc.want {
				t.Errorf("%+v: %d of b start", tc, n)
			}
		})
	}
}

func started(f *fake, prefix string) int {
	return strings.Count(strings.Join(f.calls, "\n"), "start "+prefix)
}

// Whether the container stays is known only when its image is pulled; what it depends on has started again by then.
func TestARestartWaitsForTheNextRound(t *testing.T) {
	f, d := newFake(), want(t, `
services:
  vpn: {image: vpn}
  web: {image: web, pull_policy: always, network_mode: "service:vpn"}
  other: {image: other, pull_policy: always, depends_on: {vpn: {condition: service_started, restart: true}}}
  worker: {image: worker}
`)
	run := func() {
		if _, err := convergence.Run(t.Context(), f, d, convergence.Options{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	run()
	vpn, _ := f.find("x-vpn-1")
	vpn.status = "exited"
	f.calls = nil
	run()
	for name, times := range map[string]int{"x-vpn-": 1, "x-web-": 1, "x-other-": 1, "x-worker-": 0} {
		if n := started(f, name); n != times {
			t.Errorf("%s is started %d times:\n%s", name, n, strings.Join(f.calls, "\n"))
		}
	}
	if n := strings.Count(strings.Join(f.calls, "\n"), "create "); n != 0 {
		t.Errorf("%d containers are made anew", n)
	}
}
