package bench

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// row is one piece of work.
type row struct {
	name string
	goal time.Duration // what docs/ARCHITECTURE.md aims at, on the machine that it names
	runs int
	// measure does the work once, from a clean state to a clean state, and returns how long the part that counts took.
	measure func(t testing.TB, u *tool) time.Duration
}

func rows() []row {
	return []row{
		{"up -d, 1 service", 35 * time.Millisecond, 5, up(1, sleeping)},
		{"up -d, 10 services", 120 * time.Millisecond, 5, up(10, sleeping)},
		{"up -d, 50 services", 500 * time.Millisecond, 3, up(50, sleeping)},
		{"up -d, 10 services with a published port each", 140 * time.Millisecond, 5, up(10, publishing)},
		{"up -d again, nothing to do, 1 service", 15 * time.Millisecond, 5, again(1)},
		{"up -d again, nothing to do, 50 services", 30 * time.Millisecond, 3, again(50)},
		{"down -v -t 0, 1 service", 25 * time.Millisecond, 5, down(1)},
		{"down -v -t 0, 10 services", 70 * time.Millisecond, 5, down(10)},
		{"down -v -t 0, 50 services", 300 * time.Millisecond, 3, down(50)},
		{"up -d, scale 1 to 50", 500 * time.Millisecond, 3, scale(50)},
		{"chain of 5 healthy dependencies", 600 * time.Millisecond, 3, up(5, chained)},
		{"exec true", 10 * time.Millisecond, 5, execTrue},
		{"run --rm true", 40 * time.Millisecond, 5, runTrue},
		{"killed container runs again", 30 * time.Millisecond, 5, restart},
		{"up -d to the first byte over a published port", 45 * time.Millisecond, 5, firstByte},
		{"version", 10 * time.Millisecond, 5, command(1, sleeping, "version")},
		{"config -q, 50 services", 22 * time.Millisecond, 5, command(50, ordinary, "config", "-q")},
		{"config -q, 1000 services", 250 * time.Millisecond, 5, command(1000, ordinary, "config", "-q")},
		{"ps, 50 services", 20 * time.Millisecond, 3, ps},
	}
}

func up(n int, s service) func(testing.TB, *tool) time.Duration {
	return func(t testing.TB, u *tool) time.Duration {
		dir := project(t, "up", n, s)
		defer u.run(t, dir, "down", "-v", "-t", "0")
		return u.run(t, dir, "up", "-d")
	}
}

// during runs the work while a project of n sleeping services is up.
func during(n int, work func(t testing.TB, u *tool, dir string) time.Duration) func(testing.TB, *tool) time.Duration {
	return func(t testing.TB, u *tool) time.Duration {
		dir := project(t, "during", n, sleeping)
		defer u.run(t, dir, "down", "-v", "-t", "0")
		u.run(t, dir, "up", "-d")
		return work(t, u, dir)
	}
}

func again(n int) func(testing.TB, *tool) time.Duration {
	return during(n, func(t testing.TB, u *tool, dir string) time.Duration { return u.run(t, dir, "up", "-d") })
}

func down(n int) func(testing.TB, *tool) time.Duration {
	return func(t testing.TB, u *tool) time.Duration {
		dir := project(t, "down", n, sleeping)
		u.run(t, dir, "up", "-d")
		return u.run(t, dir, "down", "-v", "-t", "0")
	}
}

func scale(n int) func(testing.TB, *tool) time.Duration {
	return during(1, func(t testing.TB, u *tool, dir string) time.Duration {
		return u.run(t, dir, "up", "-d", "--scale", "s0=50")
	})
}

func execTrue(t testing.TB, u *tool) time.Duration {
	return during(1, func(t testing.TB, u *tool, dir string) time.Duration {
		return u.run(t, dir, "exec", "-T", "s0", "/bin/busybox", "true")
	})(t, u)
}

func runTrue(t testing.TB, u *tool) time.Duration {
	return during(1, func(t testing.TB, u *tool, dir string) time.Duration {
		return u.run(t, dir, "run", "-T", "--rm", "s0", "/bin/busybox", "true")
	})(t, u)
}

func ps(t testing.TB, u *tool) time.Duration {
	return during(50, func(t testing.TB, u *tool, dir string) time.Duration { return u.run(t, dir, "ps") })(t, u)
}

// command needs no engine.
func command(n int, s service, args ...string) func(testing.TB, *tool) time.Duration {
	return func(t testing.TB, u *tool) time.Duration {
		return u.run(t, project(t, "command", n, s), args...)
	}
}

// failing exits with an error when it is told to, and is started again.
func failing(int) string {
	return "    image: " + busybox + "\n    restart: always\n    command: [\"/bin/busybox\", \"sh\", \"-c\", \"trap 'exit 1' USR1; while :; do sleep 3600 & wait; done\"]\n    stop_signal: KILL\n"
}

// restart makes a container fail and takes the time from its end to its successor's start from the engine's events.
func restart(t testing.TB, u *tool) time.Duration {
	dir := project(t, "restart", 1, failing)
	defer u.run(t, dir, "down", "-v", "-t", "0")
	u.run(t, dir, "up", "-d")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	got, failed := u.engine.Events(ctx, events.ListOptions{Filters: filters.NewArgs(filters.Arg("event", "die"), filters.Arg("event", "start"), filters.Arg("type", "container"))})
	u.run(t, dir, "exec", "-T", "s0", "/bin/busybox", "true") // by then the shell has set its trap
	// Not with exec: whoever is in a container ends with it, and may not live to tell.
	found, err := u.engine.ContainerList(ctx, container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.compose.project=restart"))})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if err := u.engine.ContainerKill(ctx, found[0].ID, "USR1"); err != nil {
		t.Fatal(err)
	}
	var died int64
	for {
		select {
		case event := <-got:
			if event.Action == events.ActionStart {
				return time.Duration(event.TimeNano - died)
			}
			died = event.TimeNano
		case err := <-failed:
			t.Fatal(err)
		}
	}
}

func firstByte(t testing.TB, u *tool) time.Duration {
	dir := project(t, "http", 1, serving)
	defer u.run(t, dir, "down", "-v", "-t", "0")
	client := &http.Client{Transport: &http.Transport{DialContext: u.dial}}
	start := time.Now()
	u.run(t, dir, "up", "-d")
	for {
		answer, err := client.Get("http://127.0.0.1:38000/busybox")
		if err == nil {
			_, err = io.ReadFull(answer.Body, make([]byte, 1))
			answer.Body.Close()
		}
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > 30*time.Second {
			t.Fatal(err)
		}
	}
}
