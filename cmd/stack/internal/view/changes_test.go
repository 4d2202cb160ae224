package view

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestReactionsAreOneLine(t *testing.T) {
	paths := []string{"/p/app.py", "/p/views/index.erb", "/elsewhere/x", "/p/b", "/p/c"}
	for _, c := range []struct {
		r    Reaction
		want string
	}{
		{Reaction{Service: "web", Action: "sync", Paths: paths[:1], Written: Entries{Files: 1}, Into: 1, Took: 12 * time.Millisecond}, "web  synced 1 file (app.py) in 12 ms"},
		{Reaction{Service: "web", Action: "sync+restart", Paths: paths, Written: Entries{4, 1}, Removed: Entries{Files: 1}, Into: 2, Took: 2340 * time.Millisecond}, "web  synced 4 files, 1 folder, removed 1 file in 2 containers and restarted (app.py, views/index.erb, /elsewhere/x, +2) in 2.3 s"},
		{Reaction{Service: "web", Action: "sync", Removed: Entries{Folders: 2}, Into: 1, Took: time.Second}, "web  removed 2 folders in 1.0 s"},
		{Reaction{Service: "web", Action: "sync+restart", Paths: paths[:1], Written: Entries{Files: 1}, Into: 1, New: 1, Took: time.Second}, "web  synced 1 file and restarted in 1 new container (app.py) in 1.0 s"},
		{Reaction{Service: "web", Action: "sync", Written: Entries{Folders: 1}, Into: 2, New: 2, Took: time.Second}, "web  synced 1 folder in 2 new containers in 1.0 s"},
		{Reaction{Service: "web", Action: "restart", Paths: paths[:1], Took: 80 * time.Millisecond, Waited: 4200 * time.Millisecond}, "web  restarted (app.py) in 80 ms, after a wait of 4.2 s"},
		{Reaction{Service: "web", Action: "restart", Paths: paths[:1], Took: 80 * time.Millisecond, Waited: 900 * time.Millisecond}, "web  restarted (app.py) in 80 ms"},
		{Reaction{Service: "web", Action: "rebuild", Paths: paths[:2], Took: 34 * time.Second}, "web  rebuilt (app.py, views/index.erb) in 34 s"},
		{Reaction{Service: "web", Action: "restart", Paths: []string{"/p"}, Took: 80 * time.Second}, "web  restarted (.) in 1m20s"},
		{Reaction{Service: "web", Action: "exec", What: "make\nit", Paths: []string{"/pp/a\nb"}}, "web  ran make it (/pp/a b) in 0 ms"},
		{Reaction{Service: "web", Action: "signal", What: "SIGHUP", Paths: []string{"/p/" + strings.Repeat("d/", 30) + "f"}}, "web  sent SIGHUP (…" + strings.Repeat("d/", 19) + "f) in 0 ms"},
		{Reaction{Service: "web", Action: "sync+restart", Paths: paths[:1], Err: errors.Join(errors.New("no space\n"), errors.New("no space"), errors.New("no hope"))}, "web  cannot sync and restart (app.py): no space; no hope"},
		{Reaction{Service: "web", Action: "sync+exec", What: strings.Repeat("x", 50), Err: errors.New("exit code 1")}, "web  cannot run " + strings.Repeat("x", 39) + "…: exit code 1"},
	} {
		var out strings.Builder
		NewChanges("plain", "/p", &out, Style{}).Reaction(c.r)
		if out.String() != c.want+"\n" {
			t.Errorf("%+v is\n%swant\n%s", c.r, out.String(), c.want)
		}
	}
}

func TestReactionsForPrograms(t *testing.T) {
	var out strings.Builder
	c := NewChanges("json", "/p", &out, Style{})
	c.Text("watching")
	c.Warn("polled")
	c.Reaction(Reaction{Service: "web", Action: "sync", Paths: []string{"/p/a"}, Written: Entries{1, 2}, Removed: Entries{3, 4}, Into: 1, New: 1, Waited: time.Minute, Bytes: 5, Took: 1500 * time.Millisecond, Err: errors.New("odd")})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("these are not three lines: %q", out.String())
	}
	var got struct {
		Service, Action, Error string
		Paths                  []string
		Written, Containers    int
		WrittenFolders         int
		Removed                int
		RemovedFolders         int
		NewContainers          int
		WaitedSeconds          float64
		Bytes                  int64
		Seconds                float64
		Time                   time.Time
	}
	if err := json.Unmarshal([]byte(lines[2]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Service != "web" || got.Action != "sync" || got.Error != "odd" || len(got.Paths) != 1 || got.Written != 1 ||
		got.Containers != 1 || got.Bytes != 5 || got.WrittenFolders != 2 || got.Removed != 3 || got.RemovedFolders != 4 || got.NewContainers != 1 ||
		got.WaitedSeconds != 60 || got.Seconds != 1.5 || got.Time.IsZero() {
		t.Errorf("the reaction is %+v", got)
	}
}

func TestQuietReactionsAreFailures(t *testing.T) {
	var out strings.Builder
	c := NewChanges("quiet", "/p", &out, Style{})
	c.Text("watching")
	c.Reaction(Reaction{Service: "web", Action: "restart"})
	c.Reaction(Reaction{Service: "web", Action: "restart", Err: errors.New("odd")})
	if out.String() != "web  cannot restart: odd\n" {
		t.Errorf("it prints %q", out.String())
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 999: "999 files", 1000: "1,000 files", 1234567: "1,234,567 files"} {
		if got := Count(n, "file"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestOnce(t *testing.T) {
	for _, c := range []struct{ text, want, line string }{
		{"", "", ""},
		{"gone\ngone\ngone", "gone", "gone"},
		{"x:1:\n  comand\n  ^\n\ngone\n", "x:1:\n  comand\n  ^\ngone", "x:1:; comand; ^; gone"},
	} {
		if got := Once(c.text); got != c.want {
			t.Errorf("Once(%q) is %q, want %q", c.text, got, c.want)
		}
		if got := oneLine(errors.New(c.text)); got != c.line {
			t.Errorf("oneLine(%q) is %q, want %q", c.text, got, c.line)
		}
	}
}
