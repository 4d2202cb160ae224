package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// worker ends with exit code 7 when it is told to by SIGUSR1, and with 0 by SIGUSR2.
const worker = `["sh", "-c", "trap 'exit 7' USR1; trap 'exit 0' USR2; trap 'exit 0' TERM; while :; do sleep 0.02; done"]`

// town is a project with everything that may suffer from a death: lines that are counted, a name that is asked for, a
// published port, and each restart policy.
func town(port string) string {
	policies := ""
	for _, s := range []struct{ name, policy string }{
		{"always", "always"}, {"onfailure", "on-failure:3"}, {"clean", "on-failure:3"}, {"unless", "unless-stopped"}, {"never", `"no"`}, {"byhand", "always"},
	} {
		policies += fmt.Sprintf("  %s:\n    image: e2e/busybox:1\n    restart: %s\n    command: %s\n", s.name, s.policy, worker)
	}
	return `services:
  counter:
    image: e2e/busybox:1
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.005; done"]
    init: true
  web:
    image: e2e/busybox:1
    command: ["sh", "-c", "echo hello >/tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    init: true
    ports: ["127.0.0.1:` + port + `:80"]
  asker:
    image: e2e/busybox:1
    command: ["sh", "-c", "while :; do wget -q -O - http://web/ || echo failed; sleep 0.02; done"]
    init: true
` + policies
}

// lines reads a container's log as it is on the disk, whoever runs or does not.
func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		var entry struct{ Log string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			if strings.HasSuffix(line, "\n") {
				t.Fatalf("%q: %v", line, err)
			}
			break // it is being written
		}
		out = append(out, strings.TrimSuffix(entry.Log, "\n"))
	}
	return out
}

// grows waits for n lines more.
func grows(t *testing.T, path string, n int) {
	t.Helper()
	before := len(lines(t, path))
	until(t, "the log goes on: "+path, func() bool { return len(lines(t, path)) >= before+n })
}

// counted fails unless the lines are 1, 2, 3 and so on.
func counted(t *testing.T, got []string) {
	t.Helper()
	for i, line := range got {
		if line != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the counter is %q", i+1, line)
		}
	}
}

func fetch(t *testing.T, port string) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://127.0.0.1:" + port)
	if err != nil {
		t.Error(err)
		return
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello\n" {
		t.Errorf("the published port answers %q, %v", body, err)
	}
}

// states are what ps says, by service.
func (h *host) states(dir string) map[string]string {
	h.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(h.stack(dir, "ps", "-a", "--format", "json")) {
		var row struct {
			Service, State string
			ExitCode       int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			h.t.Fatalf("%q: %v", line, err)
		}
		if out[row.Service] != "" {
			h.t.Errorf("service %s has more than one container", row.Service)
		}
		if row.State == "exited" {
			row.State += " " + strconv.Itoa(row.ExitCode)
		}
		out[row.Service] = row.State
	}
	return out
}

// settled waits until the services are in these states.
func (h *host) settled(dir string, want map[string]string) {
	h.t.Helper()
	var now map[string]string
	defer func() {
		if h.t.Failed() {
			h.t.Logf("the states are %v", now)
		}
	}()
	until(h.t, fmt.Sprintf("the states %v", want), func() bool {
		now = h.states(dir)
		for service, state := range want {
			if now[service] != state {
				return false
			}
		}
		return true
	})
}

// inTown brings the town up, and at the end down again.
func inTown(t *testing.T, test func(t *testing.T, h *host, dir, port string)) {
	h, left := newVictim(t)
	port := freePort(t)
	dir := h.write("town", map[string]string{"compose.yaml": town(port)})
	h.stack(dir, "up", "-d")
	left.note()
	counter, asker := h.container(dir, "counter").LogPath, h.container(dir, "asker").LogPath
	h.stack(dir, "stop", "byhand")
	grows(t, counter, 20)
	grows(t, asker, 2)

	test(t, h, dir, port)

	grows(t, counter, 20)
	counted(t, lines(t, counter))
	fetch(t, port)
	h.stack(dir, "down", "-v", "-t", "0")
	if left := h.stack(dir, "ps", "-a", "-q"); left != "" {
		t.Errorf("down left %q", left)
	}
}

// tellWorkers makes the workers end, each its own way, and waits until they have.
func tellWorkers(t *testing.T, h *host, dir string) func() {
	t.Helper()
	pids := map[string]int{}
	for _, s := range []string{"always", "onfailure", "clean", "unless", "never"} {
		pids[s] = h.container(dir, s).State.Pid
	}
	return func() {
		for s, pid := range pids {
			sig := unix.SIGUSR1
			if s == "clean" {
				sig = unix.SIGUSR2
			}
			end(t, pid, sig)
		}
	}
}

// afterwards is what the policies make of workers that have ended.
var afterwards = map[string]string{
	"always": "running", "onfailure": "running", "unless": "running", "clean": "exited 0", "never": "exited 7",
	"byhand": "exited 0", "counter": "running", "web": "running", "asker": "running",
}

// TestEngineKilled kills the engine under running containers. They do not notice.
func TestEngineKilled(t *testing.T) {
	inTown(t, func(t *testing.T, h *host, dir, port string) {
		counter, asker := h.container(dir, "counter").LogPath, h.container(dir, "asker").LogPath
		end := tellWorkers(t, h, dir)
		h.killEngine()
		asked := len(lines(t, asker))
		grows(t, counter, 20)
		grows(t, asker, 3)
		fetch(t, port)
		end()
		if h.enginePid() != 0 {
			t.Fatal("somebody started an engine")
		}
		for _, line := range lines(t, asker)[asked:] {
			if line != "hello" {
				t.Errorf("without an engine a name does not resolve: %q", line)
			}
		}

		now := h.states(dir)
		for service, want := range afterwards {
			if s := now[service]; s != want && !(want == "running" && s == "restarting") {
				t.Errorf("ps says at once that %s is %s, want %s", service, s, want)
			}
		}
		h.settled(dir, afterwards)
		grows(t, asker, 2)
		for service, want := range map[string]int{"always": 1, "onfailure": 1, "unless": 1, "clean": 0, "never": 0, "counter": 0} {
			if c := h.container(dir, service); c.RestartCount != want {
				t.Errorf("%s was restarted %d times, want %d", service, c.RestartCount, want)
			}
		}
		if out := h.stack(dir, "logs", "--no-log-prefix", "--tail", "3", "counter"); strings.Count(out, "\n") != 3 {
			t.Errorf("logs --tail 3 prints %q", out)
		}
	})
}

// TestEngineStopped: the engine is told to go, and the next command starts another.
func TestEngineStopped(t *testing.T) {
	inTown(t, func(t *testing.T, h *host, dir, port string) {
		before := h.container(dir, "counter")
		end := tellWorkers(t, h, dir)
		h.stack(dir, "engine", "stop")
		if pid := h.enginePid(); pid != 0 {
			t.Errorf("the engine is there: process %d", pid)
		}
		grows(t, before.LogPath, 20)
		fetch(t, port)
		end()
		h.settled(dir, afterwards)
		if now := h.container(dir, "counter"); now.State != before.State {
			t.Errorf("the counter was %+v and is %+v", before.State, now.State)
		}
	})
}

// TestShimKilled kills the process that holds the containers, with and without the engine.
func TestShimKilled(t *testing.T) {
	for _, withEngine := range []bool{false, true} {
		t.Run(fmt.Sprintf("engine killed %v", withEngine), func(t *testing.T) {
			inTown(t, func(t *testing.T, h *host, dir, port string) {
				before := h.container(dir, "counter")
				end := tellWorkers(t, h, dir)
				if withEngine {
					h.killEngine()
				}
				h.killShims()
				if withEngine {
					end()
				}
				if s := h.states(dir)["counter"]; s != "running" {
					t.Errorf("the counter is %s", s)
				}
				if !withEngine {
					end()
				}
				want := map[string]string{}
				for service, state := range afterwards {
					want[service] = state
				}
				if withEngine { // nobody was there to be told exit codes, and the policies take them for failures
					delete(want, "clean")
					delete(want, "never")
				}
				h.settled(dir, want)
				if now := h.container(dir, "counter"); now.State != before.State {
					t.Errorf("the counter was %+v and is %+v", before.State, now.State)
				}
				if out := h.stack(dir, "exec", "-T", "counter", "echo", "here"); out != "here\n" {
					t.Errorf("exec prints %q", out)
				}
				if out := h.stack(dir, "exec", "-T", "counter", "wget", "-q", "-O", "-", "http://web/"); out != "hello\n" {
					t.Errorf("the name leads to %q", out)
				}
				h.write("thief", map[string]string{"compose.yaml": runs + "    ports: [\"127.0.0.1:" + port + ":80\"]\n"})
				thief := filepath.Join(h.dir, "thief")
				if _, err := h.try(thief, "up", "-d"); err == nil || !strings.Contains(err.Error(), "allocated") {
					t.Errorf("the port is free for others: %v", err)
				}
				h.stack(thief, "down", "-t", "0")
				h.stack(dir, "kill", "-s", "USR1", "onfailure")
				until(t, "the policy sees an end under the new shim", func() bool { return h.container(dir, "onfailure").RestartCount >= 2 })
			})
		})
	}
}

// many is a project of n services that depend on each other here and there.
func many(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d:\n    image: e2e/busybox:1\n    command: sleep 3600\n    init: true\n    volumes: [\"v%d:/data\"]\n", i, i%3)
		if i%4 == 3 {
			fmt.Fprintf(&b, "    depends_on: [s%d]\n", i-1)
		}
	}
	b.WriteString("volumes: {v0: {}, v1: {}, v2: {}}\n")
	return b.String()
}

// inventory is what a project has: how many of each kind, as the engine's socket tells.
func (h *host) inventory(dir string) string {
	h.t.Helper()
	running := strings.Fields(h.stack(dir, "ps", "-q"))
	var all []json.RawMessage
	var networks []struct{ Name string }
	var volumes struct{ Volumes []struct{ Name string } }
	for path, into := range map[string]any{"/containers/json?all=1": &all, "/networks": &networks, "/volumes": &volumes} {
		if err := h.get(path, into); err != nil {
			h.t.Fatal(err)
		}
	}
	networks = slices.DeleteFunc(networks, func(n struct{ Name string }) bool {
		return n.Name == "bridge" || n.Name == "host" || n.Name == "none"
	})
	return fmt.Sprintf("%d of %d containers run, %d networks, %d volumes", len(running), len(all), len(networks), len(volumes.Volumes))
}

// TestKilledAtRandom kills the engine, the shim or the command at a random moment of up and down. The same command again
// leads where it would have led.
func TestKilledAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STACK_TEST_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	t.Logf("STACK_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	h, left := newVictim(t)
	dir := h.write("many", map[string]string{"compose.yaml": many(10)})

	for round := range 16 {
		args, want := []string{"up", "-d"}, "10 of 10 containers run, 1 networks, 3 volumes"
		if round%2 == 1 {
			args, want = []string{"down", "-v", "-t", "0"}, "0 of 0 containers run, 0 networks, 0 volumes"
		}
		victim := []string{"engine", "engine", "command", "shim", "engine and shim"}[random.IntN(5)]
		delay := time.Duration(random.IntN(400)) * time.Millisecond
		what := fmt.Sprintf("round %d: %v, %s killed after %v", round, args, victim, delay)
		h.stack(h.dir, "engine", "env")
		if err := h.disturbed(dir, args, victim, delay); err != nil {
			what += fmt.Sprintf(", which fails with %q", err)
		}
		t.Log(what)
		left.note()
		if _, err := h.try(dir, args...); err != nil {
			t.Fatalf("%s: again: %v", what, err)
		}
		if got := h.inventory(dir); got != want {
			t.Fatalf("%s: afterwards %s, want %s", what, got, want)
		}
		left.note()
	}
	h.stack(dir, "down", "-v", "-t", "0")
}

// disturbed runs a command and kills somebody after the delay.
func (h *host) disturbed(dir string, args []string, victim string, delay time.Duration) error {
	cmd := h.command(dir, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err
	}
	time.Sleep(delay) // the moment is what is random
	switch victim {
	case "command":
		_ = cmd.Process.Kill()
	case "engine", "engine and shim":
		if pid := h.enginePid(); pid != 0 {
			end(h.t, pid, unix.SIGKILL)
		}
	}
	if strings.HasSuffix(victim, "shim") {
		for _, pid := range h.shims() {
			end(h.t, pid, unix.SIGKILL)
		}
	}
	if err := cmd.Wait(); err != nil {
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		return fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return nil
}

// TestReboot takes away what a reboot takes away: every process and what is in memory. The engine brings back what was meant to run.
func TestReboot(t *testing.T) {
	h, left := newVictim(t)
	port := freePort(t)
	dir := h.write("town", map[string]string{"compose.yaml": town(port)})
	h.stack(dir, "up", "-d")
	left.note()
	h.stack(dir, "stop", "byhand")

	h.killEngine()
	h.killShims()
	var pids []int
	for _, p := range left.processes() {
		pid, _ := strconv.Atoi(strings.Fields(p)[1])
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		end(t, pid, unix.SIGKILL)
	}
	if err := os.RemoveAll(filepath.Join(h.dir, "run")); err != nil {
		t.Fatal(err)
	}

	h.settled(dir, map[string]string{"always": "running", "unless": "running"})
	for _, service := range []string{"never", "byhand"} {
		if s := h.states(dir)[service]; !strings.HasPrefix(s, "exited") {
			t.Errorf("%s is %q", service, s)
		}
	}
	h.stack(dir, "up", "-d")
	for service, state := range h.states(dir) {
		if state != "running" {
			t.Errorf("after up %s is %s", service, state)
		}
	}
	asker := h.container(dir, "asker").LogPath
	grows(t, asker, 2)
	fetch(t, port)
	left.note()
	h.stack(dir, "down", "-v", "-t", "0")
}

// TestTwoAtOnce: one waits for the other and says so.
func TestTwoAtOnce(t *testing.T) {
	h, left := newVictim(t)
	dir := h.write("many", map[string]string{"compose.yaml": many(10)})
	h.stack(h.dir, "engine", "env")
	type result struct {
		out []byte
		err error
	}
	results := make(chan result, 2)
	for range 2 {
		go func() {
			out, err := h.command(dir, "up", "-d").CombinedOutput()
			results <- result{out, err}
		}()
	}
	waited := 0
	for range 2 {
		r := <-results
		if r.err != nil {
			t.Errorf("%v\n%s", r.err, r.out)
		}
		if strings.Contains(string(r.out), "aiting") {
			waited++
		}
	}
	if waited != 1 {
		t.Errorf("%d of the two say that they wait", waited)
	}
	if got, want := h.inventory(dir), "10 of 10 containers run, 1 networks, 3 volumes"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	left.note()
	h.stack(dir, "down", "-v", "-t", "0")
}
