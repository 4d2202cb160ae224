package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/memory"
)

// withEngine runs a test in a bubble of virtual time, with an engine that has the image "app".
func withEngine(t *testing.T, test func(t *testing.T, e *memory.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := memory.New()
		defer e.Close()
		e.AddImage("app", container.Config{Cmd: []string{"sleep", "1000000"}})
		test(t, e)
	})
}

func start(t *testing.T, e *memory.Engine, name string, cfg container.Config, host container.HostConfig) {
	t.Helper()
	cfg.Image = "app"
	if _, err := e.ContainerCreate(t.Context(), name, engine.CreateConfig{Config: &cfg, Host: &host}); err != nil {
		t.Fatal(err)
	}
	if err := e.ContainerStart(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

func inspect(t *testing.T, e *memory.Engine, name string) container.InspectResponse {
	t.Helper()
	c, err := e.ContainerInspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStopTakesItsTimeoutExactly(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		start(t, e, "web", container.Config{}, container.HostConfig{})
		began := time.Now()
		if err := e.ContainerStop(t.Context(), "web", container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("it took %v, want 10s", took)
		}
	})
}

func TestRestartsBackOff(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		start(t, e, "web", container.Config{Cmd: []string{"false"}}, container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "always"}})
		// 100 ms, 200 ms, 400 ms: the third restart is 700 ms after the first exit.
		time.Sleep(699 * time.Millisecond)
		synctest.Wait()
		if c := inspect(t, e, "web"); c.RestartCount != 3 || c.State.Status != container.StateRestarting {
			t.Errorf("after 699 ms: %d restarts begun, state %s; want 3, restarting", c.RestartCount, c.State.Status)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if c := inspect(t, e, "web"); c.RestartCount != 4 {
			t.Errorf("after 701 ms: %d restarts begun, want 4", c.RestartCount)
		}
	})
}

func TestHealthFollowsTheCheck(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		start(t, e, "db", container.Config{
			Cmd:         []string{"sh", "-c", "sleep 25; touch /tmp/up; sleep 1000"},
			Healthcheck: &container.HealthConfig{Test: []string{"CMD-SHELL", "test -f /tmp/up"}, Interval: 10 * time.Second, StartPeriod: time.Minute},
		}, container.HostConfig{})
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if h := inspect(t, e, "db").State.Health; h.Status != container.Starting {
			t.Errorf("after 29 s it is %s, want starting", h.Status)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if h := inspect(t, e, "db").State.Health; h.Status != container.Healthy {
			t.Errorf("after 31 s it is %s, want healthy", h.Status)
		}
	})
}

func TestAHangingCheckTimesOut(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		start(t, e, "db", container.Config{
			Healthcheck: &container.HealthConfig{Test: []string{"CMD", "sleep", "1000"}, Interval: time.Second, Timeout: 3 * time.Second, Retries: 1},
		}, container.HostConfig{})
		time.Sleep(4*time.Second + time.Millisecond)
		synctest.Wait()
		h := inspect(t, e, "db").State.Health
		if h.Status != container.Unhealthy || h.Log[0].ExitCode != -1 {
			t.Errorf("it is %s, the log %+v", h.Status, h.Log)
		}
	})
}

func TestExitIsLikeTheProcessEndingItself(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		start(t, e, "web", container.Config{}, container.HostConfig{RestartPolicy: container.RestartPolicy{Name: "on-failure"}})
		results, errs := e.ContainerWait(t.Context(), "web", container.WaitConditionNextExit)
		if err := e.Exit("web", 3); err != nil {
			t.Fatal(err)
		}
		select {
		case r := <-results:
			if r.StatusCode != 3 {
				t.Errorf("exit code %d, want 3", r.StatusCode)
			}
		case err := <-errs:
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if c := inspect(t, e, "web"); !c.State.Running || c.RestartCount != 1 {
			t.Errorf("running %v after %d restarts, want it to run after 1", c.State.Running, c.RestartCount)
		}
	})
}

func TestFaults(t *testing.T) {
	withEngine(t, func(t *testing.T, e *memory.Engine) {
		broken := errors.New("broken")
		create := func(name string) error {
			_, err := e.ContainerCreate(t.Context(), name, engine.CreateConfig{Config: &container.Config{Image: "app"}})
			return err
		}
		e.Inject(memory.Fault{Op: "ContainerCreate", Match: "web-*", Err: broken, Times: 2})
		for i, want := range []error{broken, broken, nil} {
			if err := create("web-1"); err != want {
				t.Errorf("creation %d of web-1: %v, want %v", i, err, want)
			}
		}
		remove := e.Fail("ContainerCreate", "db", broken)
		if err := create("db"); err != broken {
			t.Errorf("db: %v, want the fault", err)
		}
		if err := create("other"); err != nil {
			t.Errorf("other: %v, the fault is not for it", err)
		}
		remove()
		if err := create("db"); err != nil {
			t.Errorf("db after the fault was taken away: %v", err)
		}

		c := inspect(t, e, "db")
		e.Inject(memory.Fault{Op: "ContainerStart", Match: "db", Delay: time.Minute})
		began := time.Now()
		if err := e.ContainerStart(t.Context(), c.ID); err != nil || time.Since(began) != time.Minute {
			t.Errorf("start by ID took %v, %v; want the name's delay of 1m", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.ContainerStart(ctx, "db"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a delayed start with a deadline: %v", err)
		}
	})
}

func TestAProgramOfTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := memory.New(memory.WithProgram("greet", func(p *memory.Process) int {
			_, _ = p.Stdout.Write([]byte("hello " + p.Args[1] + "\n"))
			<-p.Signals
			return 5
		}))
		defer e.Close()
		e.AddRemoteImage("registry.test/greeter:2", container.Config{Entrypoint: []string{"greet"}})
		if err := e.ImagePull(t.Context(), "registry.test/greeter:2", image.PullOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		_, err := e.ContainerCreate(t.Context(), "greeter", engine.CreateConfig{Config: &container.Config{Image: "registry.test/greeter:2", Cmd: []string{"you"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.ContainerStart(t.Context(), "greeter"); err != nil {
			t.Fatal(err)
		}
		if err := e.ContainerStop(t.Context(), "greeter", container.StopOptions{}); err != nil {
			t.Fatal(err)
		}
		if c := inspect(t, e, "greeter"); c.State.ExitCode != 5 {
			t.Errorf("exit code %d, want the program's 5", c.State.ExitCode)
		}
		for entry, err := range e.ContainerLogs(t.Context(), "greeter", container.LogsOptions{ShowStdout: true}) {
			if err != nil || string(entry.Line) != "hello you\n" {
				t.Errorf("log entry %q, %v", entry.Line, err)
			}
		}
	})
}

func TestTheSameCallsGiveTheSameValues(t *testing.T) {
	run := func() (ids []string) {
		withEngine(t, func(t *testing.T, e *memory.Engine) {
			id, err := e.NetworkCreate(t.Context(), "n", network.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			for _, name := range []string{"a", "b"} {
				start(t, e, "c-"+name, container.Config{}, container.HostConfig{NetworkMode: "n"})
				c := inspect(t, e, "c-"+name)
				ids = append(ids, c.ID, c.NetworkSettings.Networks["n"].IPAddress)
			}
		})
		return ids
	}
	first, second := run(), run()
	for i := range first {
		if first[i] != second[i] {
			t.Errorf("value %d was %s, then %s", i, first[i], second[i])
		}
	}
}
