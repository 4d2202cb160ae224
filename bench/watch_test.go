package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
)

// reaction is one kind of change to files that are watched. No peer here has a watch: Compose v5, on a machine like the one that
// docs/ARCHITECTURE.md names, took 509 ms for a file and 592 ms for 200.
type reaction struct {
	name    string
	goal    time.Duration // of the median
	worst   time.Duration // of the 99th percentile; 0: none
	docker  bool          // over the socket of the peer's Docker
	many    bool          // files: measured on a disk with a journal, too, and there it counts
	measure func(t testing.TB, u *tool) []time.Duration
}

func reactions() []reaction {
	const ms = time.Millisecond
	return []reaction{
		{name: "watch: save to visible", goal: 30 * ms, worst: 60 * ms, measure: saves(100)},
		{name: "watch: save to visible, on Docker", goal: 150 * ms, docker: true, measure: saves(100)},
		{name: "watch: burst of 200 files", goal: 120 * ms, many: true, measure: bursts(5, 200)},
		{name: "watch: checkout of 10,000 files", goal: 4000 * ms, many: true, measure: checkouts(3, 10_000)},
		{name: "watch: save to restarted, beyond the start", goal: 300 * ms, measure: restarts(5)},
	}
}

// watching prints what the reactions cost.
func watching(t *testing.T, wanted *regexp.Regexp, stack, onDocker *tool) {
	fmt.Printf("%-48s %28s %28s %7s %8s\n", "", "stack, ms (min–max)", "99th percentile, ms", "", "goal, ms")
	many := false
	for _, r := range reactions() {
		u := stack
		if r.docker {
			u = onDocker
		}
		if u == nil || !wanted.MatchString(r.name) {
			continue
		}
		r.print(t, u, !r.many)
		many = many || r.many
	}
	if many {
		onJournal(t, func(t *testing.T) {
			stack := newStack(t, stack.binary)
			stack.provide(t)
			for _, r := range reactions() {
				if r.many && wanted.MatchString(r.name) {
					r.name += ", with a journal"
					r.print(t, stack, true)
				}
			}
		})
	}
	if wanted.MatchString("watch: 100,000 files") {
		hundredThousand(t, stack)
	}
}

// print measures the reaction and prints its line.
func (r reaction) print(t *testing.T, u *tool, counts bool) {
	took := r.measure(t, u)
	goal := fmt.Sprint(r.goal.Milliseconds())
	if r.worst > 0 {
		goal += fmt.Sprint(", ", r.worst.Milliseconds())
	}
	fmt.Printf("%-48s %28s %28d %7s %8s\n", r.name, spread(took), percentile(took, 99).Milliseconds(), "", goal)
	if *check && counts && (median(took) > r.goal || r.worst > 0 && percentile(took, 99) > r.worst) {
		t.Errorf("%s: %v, at the 99th percentile %v; want at most %s ms", r.name, median(took), percentile(took, 99), goal)
	}
}

func percentile(d []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[(len(sorted)*p+99)/100-1]
}

// watched is a project that is up, and a stack watch that runs beside it.
type watched struct {
	t    testing.TB
	u    *tool
	dir  string // of the project; what is watched is in src
	root string // of the container, as seen from here
	cmd  *exec.Cmd
	said strings.Builder
}

const syncing = `    image: ` + busybox + `
    command: ["/bin/busybox", "sleep", "3600"]
    stop_signal: KILL
    develop: {watch: [{action: sync, path: ./src, target: /app}]}
`

// watch brings up a service and watches it. Of what is in src, by names and contents, everything is in the container then.
func watch(t testing.TB, u *tool, service string, src map[string]string) *watched {
	t.Helper()
	w := &watched{t: t, u: u, dir: project(t, "watch", 1, func(int) string { return service })}
	w.save(src)
	w.u.run(t, w.dir, "up", "-d")
	w.root = u.root(t, "watch")
	w.cmd = exec.Command(u.binary, "watch", "--no-up")
	w.cmd.Dir, w.cmd.Env = w.dir, u.env
	w.cmd.Stdout, w.cmd.Stderr = &w.said, &w.said
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.reach(src)
	return w
}

// reach returns when the container has the files. It looks again and again, so that none of this can be measured.
func (w *watched) reach(src map[string]string) {
	w.t.Helper()
	for name, text := range src {
		for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
			if data, err := os.ReadFile(filepath.Join(w.root, "app", name)); err == nil && string(data) == text {
				break
			}
			if time.Since(begin) > patience {
				_ = w.cmd.Process.Kill()
				_ = w.cmd.Wait()
				w.t.Fatalf("watch does not sync %s:\n%s", name, w.said.String())
			}
		}
	}
}

func (w *watched) end() {
	_ = w.cmd.Process.Signal(syscall.SIGINT)
	_ = w.cmd.Wait()
	w.u.run(w.t, w.dir, "down", "-v", "-t", "0")
}

// save writes files below src.
func (w *watched) save(files map[string]string) {
	w.t.Helper()
	made := map[string]bool{}
	for name, text := range files {
		path := filepath.Join(w.dir, "src", name)
		if dir := filepath.Dir(path); !made[dir] {
			made[dir] = true
			if err := os.MkdirAll(dir, 0o755); err != nil {
				w.t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
}

// inside are the same files as they are in the container.
func inside(files map[string]string) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		out[filepath.Join("/app", name)] = text
	}
	return out
}

// times saves the files and takes the time from the first save to when all are in the container.
func (w *watched) times(s *sight, files map[string]string) time.Duration {
	w.t.Helper()
	want := inside(files)
	start := time.Now()
	w.save(files)
	s.await(w.t, want)
	return time.Since(start)
}

// saves are single ones, with pauses as short as nobody makes them.
func saves(n int) func(testing.TB, *tool) []time.Duration {
	return func(t testing.TB, u *tool) (took []time.Duration) {
		w := watch(t, u, syncing, map[string]string{"views/index.erb": "0"})
		defer w.end()
		s := look(t, w.root, "/app")
		defer s.close()
		for i := range n {
			time.Sleep(time.Duration(60+rand.IntN(60)) * time.Millisecond)
			took = append(took, w.times(s, map[string]string{"views/index.erb": fmt.Sprintf("<p>%d</p>\n", i)}))
		}
		return took
	}
}

// files are n files in folders of a hundred.
func files(n int, version string) map[string]string {
	out := map[string]string{}
	for i := range n {
		out[fmt.Sprintf("d%03d/f%02d.rb", i/100, i%100)] = fmt.Sprintf("puts %q, %d\n%s", version, i, strings.Repeat("# a comment of some length\n", 20))
	}
	return out
}

func bursts(runs, n int) func(testing.TB, *tool) []time.Duration {
	return func(t testing.TB, u *tool) (took []time.Duration) {
		w := watch(t, u, syncing, files(n, "0"))
		defer w.end()
		s := look(t, w.root, "/app")
		defer s.close()
		for i := range runs {
			time.Sleep(time.Second)
			took = append(took, w.times(s, files(n, fmt.Sprint(i+1))))
		}
		return took
	}
}

// checkouts are of a branch of git that has the same files with other contents.
func checkouts(runs, n int) func(testing.TB, *tool) []time.Duration {
	return func(t testing.TB, u *tool) (took []time.Duration) {
		w := watch(t, u, syncing, files(n, "0"))
		defer w.end()
		w.git("init", "-q")
		branches := []string{"even", "odd"}
		for i, branch := range branches {
			w.save(files(n, fmt.Sprint(i)))
			w.git("checkout", "-q", "-b", branch)
			w.git("add", "src")
			w.git("-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-q", "-m", branch)
		}
		w.reach(files(n, "1"))
		s := look(t, w.root, "/app")
		defer s.close()
		for i := range runs {
			time.Sleep(time.Second)
			version := i % len(branches)
			start := time.Now()
			w.git("checkout", "-q", branches[version])
			s.await(t, inside(files(n, fmt.Sprint(version))))
			took = append(took, time.Since(start))
		}
		return took
	}
}

func (w *watched) git(args ...string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = w.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// reading answers over HTTP what it has found in a file when it began, and something that no other start of it answers.
func reading(int) string {
	return "    image: " + busybox + `
    command: ["/bin/busybox", "sh", "-c", "busybox cat /app/text /proc/sys/kernel/random/uuid >/tmp/text; exec busybox httpd -f -p 80 -h /tmp"]
    stop_signal: KILL
    ports: ["38000:80"]
    develop: {watch: [{action: sync+restart, path: ./src, target: /app}]}
`
}

// restarts are how much longer it takes from a save to the answer of the restarted container than from a restart by the
// engine's API, each measured in turn.
func restarts(runs int) func(testing.TB, *tool) []time.Duration {
	return func(t testing.TB, u *tool) (took []time.Duration) {
		w := watch(t, u, reading(0), map[string]string{"text": "0\n"})
		defer w.end()
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: u.impatient}}
		last := ""
		// answers returns when something else is answered that begins with the text.
		answers := func(text string) time.Time {
			for begin := time.Now(); ; {
				if answer, err := client.Get("http://127.0.0.1:38000/text"); err == nil {
					body, _ := io.ReadAll(answer.Body)
					answer.Body.Close()
					if is := string(body); is != last && strings.HasPrefix(is, text) {
						last = is
						return time.Now()
					}
				}
				if time.Since(begin) > patience {
					t.Fatalf("%q is not answered", text)
				}
			}
		}
		text := "0\n"
		answers(text) // the comparison that watching begins with restarts it
		for i := range runs {
			start, now := time.Now(), 0
			if err := u.engine.ContainerRestart(t.Context(), u.container(t, "watch"), container.StopOptions{Timeout: &now}); err != nil {
				t.Fatal(err)
			}
			alone := answers(text).Sub(start)
			time.Sleep(500 * time.Millisecond) // for what is done about a container that was started
			text = fmt.Sprintf("saved %d\n", i)
			start = time.Now()
			w.save(map[string]string{"text": text})
			took = append(took, answers(text).Sub(start)-alone)
			time.Sleep(500 * time.Millisecond)
		}
		return took
	}
}

// impatient connects at once or not at all: what is sent to a container that is away is sent again after a second only.
func (u *tool) impatient(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	return u.dial(ctx, network, addr)
}

// hundredThousand prints what it costs to watch a hundred thousand files: until the first change of one is carried out, and then at rest.
func hundredThousand(t *testing.T, u *tool) {
	const n, mb, idle = 100_000, 1 << 20, 3 * time.Second
	dir := project(t, "many", 1, func(int) string {
		return strings.NewReplacer("develop: {watch: [", "develop: {watch: [{action: sync, path: ./many, target: /many, initial_sync: false}, ").Replace(syncing)
	})
	w := &watched{t: t, u: u, dir: dir}
	w.save(map[string]string{"begun": "yes"})
	for name, text := range files(n, "0") {
		path := filepath.Join(dir, "many", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	u.run(t, dir, "up", "-d")
	w.root = u.root(t, "many")
	if err := os.Mkdir(filepath.Join(w.root, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := look(t, w.root, "/app")
	defer s.close()
	w.cmd = exec.Command(u.binary, "watch", "--no-up")
	w.cmd.Dir, w.cmd.Env = dir, u.env
	w.cmd.Stdout, w.cmd.Stderr = &w.said, &w.said
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.said.String())
		}
	})
	start := time.Now()
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer w.end()
	s.await(t, map[string]string{"/app/begun": "yes"})
	began := time.Since(start)
	for before := -1; before != ticks(t, w.cmd.Process.Pid); time.Sleep(time.Second) { // it still reads what the files contain
		before = ticks(t, w.cmd.Process.Pid)
	}
	before := ticks(t, w.cmd.Process.Pid)
	time.Sleep(idle)
	spent := ticks(t, w.cmd.Process.Pid) - before
	memory, err := pss(w.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("watch: 100,000 files: begun after %d ms (goal 1500); memory (PSS) %.1f MB (goal 100); %d ticks of CPU in %v at rest (goal 0)\n", began.Milliseconds(), float64(memory)/mb, spent, idle)
	if *check && (began > 1500*time.Millisecond || memory > 100*mb || spent > 0) {
		t.Errorf("watch: 100,000 files: begun after %v, %d bytes, %d ticks", began, memory, spent)
	}
}

// ticks are how long a process has been on a processor, in hundredths of a second.
func ticks(t testing.TB, pid int) (sum int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	for _, field := range fields[11:13] { // utime and stime
		var n int
		if _, err := fmt.Sscan(field, &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// container is the ID of the project's only one.
func (u *tool) container(t testing.TB, project string) string {
	t.Helper()
	found, err := u.engine.ContainerList(context.Background(), container.ListOptions{Filters: filters.NewArgs(filters.Arg("label", "com.docker.compose.project="+project))})
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0].ID
}

// root is where the files of the project's only container are seen from here.
func (u *tool) root(t testing.TB, project string) string {
	t.Helper()
	c, err := u.engine.ContainerInspect(context.Background(), u.container(t, project))
	if err != nil {
		t.Fatal(err)
	}
	return u.files(c.State.Pid)
}
