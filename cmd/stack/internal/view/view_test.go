package view

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stackrun.dev/stack/project"
)

func TestPlainProgressHasComposesWords(t *testing.T) {
	var out bytes.Buffer
	p, err := NewProgress("plain", "up", &out, Style{})
	if err != nil {
		t.Fatal(err)
	}
	p.Event(Event{ID: "Network x_default", Status: "Creating", State: Working})
	p.Event(Event{ID: "Network x_default", Status: "Created", State: Done})
	p.Event(Event{ID: "Image a", Status: "Pulling", State: Working})
	p.Event(Event{ID: "Image a", Status: "Pulling", State: Working, Detail: "1MB / 2MB", Minor: true})
	p.Event(Event{ID: "Image a", Status: "Pulling", State: Working})
	p.Event(Event{ID: "Container x-web-1", Status: "Error", State: Failed, Detail: "no\x1b[31m\nluck"})
	p.Close()
	want := ` Network x_default Creating
 Network x_default Created
 Image a Pulling
 Container x-web-1 Error no?[31m luck
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

// Several builds at the same time are told apart, and nobody's line is broken by another's.
func TestPlainProgressNamesWhoBuilds(t *testing.T) {
	var out bytes.Buffer
	p, err := NewProgress("plain", "up", &out, Style{})
	if err != nil {
		t.Fatal(err)
	}
	say := func(source, text string) {
		p.Event(Event{ID: "Image " + source, Status: "Building", State: Working, Minor: true, Source: source, Output: text})
	}
	say("ui", "#1 load")
	say("post", "#1 FROM a\n\n#2 RUN b\n")
	say("ui", "ed\n")
	say("post", "#3 CO")
	p.Event(Event{ID: "Image post", Status: "Built", State: Done})
	p.Close()
	want := "post | #1 FROM a\npost | #2 RUN b\nui | #1 loaded\npost | #3 CO\n Image post Built\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestJSONProgressIsOneObjectALine(t *testing.T) {
	var out bytes.Buffer
	p, err := NewProgress("json", "up", &out, Style{})
	if err != nil {
		t.Fatal(err)
	}
	p.Event(Event{ID: "Volume v", Status: "Created", State: Done})
	p.Text("advice")
	var first, second map[string]any
	dec := json.NewDecoder(&out)
	if err := dec.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&second); err != nil {
		t.Fatal(err)
	}
	if first["id"] != "Volume v" || first["status"] != "Created" || first["state"] != "done" || second["text"] != "advice" {
		t.Errorf("got %v and %v", first, second)
	}
}

func TestUnknownProgress(t *testing.T) {
	if _, err := NewProgress("fancy", "up", &bytes.Buffer{}, Style{}); err == nil {
		t.Error("fancy progress is no error")
	}
}

func TestLivePictureFits(t *testing.T) {
	l := &live{title: "up", byID: map[string]*item{}}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		l.Event(Event{ID: "Container " + name, Status: "Started", State: Done})
	}
	l.Event(Event{ID: "Container with-a-very-long-name", Status: "Starting", State: Working, Detail: strings.Repeat("long ", 20)})
	lines := l.picture(40, 5, false)
	if len(lines) != 4 || lines[0] != "[+] up 5/6" {
		t.Fatalf("picture of %d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if !strings.Contains(lines[3], "with-a-very") {
		t.Errorf("what is worked on is not shown:\n%s", strings.Join(lines, "\n"))
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 40 {
			t.Errorf("line of %d characters wraps: %q", n, line)
		}
	}
	if all := l.picture(40, 5, true); len(all) != 7 {
		t.Errorf("the final picture has %d lines, want 7", len(all))
	}
}

func TestLiveRestoresCursorAndErases(t *testing.T) {
	var out bytes.Buffer
	l := newLive("up", &out, Style{})
	l.Event(Event{ID: "Container a", Status: "Starting", State: Working})
	l.Text("a note")
	l.Event(Event{ID: "Container a", Status: "Started", State: Done})
	l.Close()
	got := out.String()
	if !strings.Contains(got, "a note\n") || !strings.HasSuffix(got, "\x1b[?25h") {
		t.Errorf("got %q", got)
	}
	if hidden, shown := strings.Count(got, "\x1b[?25l"), strings.Count(got, "\x1b[?25h"); hidden != shown {
		t.Errorf("cursor hidden %d times, shown %d times", hidden, shown)
	}
}

func TestLogsJoinPartsAndAlign(t *testing.T) {
	var out bytes.Buffer
	l := &Logs{Out: &out}
	l.Add("web-1")
	l.Add("database-1")
	at := time.Unix(0, 0)
	l.Line("web-1", "stdout", at, []byte("one "))
	l.Line("database-1", "stdout", at, []byte("up\n"))
	l.Line("web-1", "stderr", at, []byte("oops\n"))
	l.Line("web-1", "stdout", at, []byte("line\n"))
	l.Line("web-1", "stdout", at, []byte("tail"))
	l.End("web-1")
	want := `database-1  | up
web-1       | oops
web-1       | one line
web-1       | tail
`
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestLogsTimestamps(t *testing.T) {
	var out bytes.Buffer
	l := &Logs{Out: &out, NoPrefix: true, Timestamps: true}
	l.Line("web-1", "stdout", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), []byte("x\n"))
	if got, want := out.String(), "2026-01-02T03:04:05.000000006Z x\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableAligns(t *testing.T) {
	var out bytes.Buffer
	table := Table{Header: []string{"NAME", "STATE"}, Rows: [][]string{{"wéb", "up"}, {"database", ""}}}
	if err := table.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "NAME       STATE\nwéb        up\ndatabase\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestListFormats(t *testing.T) {
	type thing struct{ Name string }
	things := []thing{{"a"}, {"b"}}
	table := func(things []thing) Table { return Table{Header: []string{"NAME"}} }
	for _, tt := range []struct {
		format string
		lines  bool
		want   string
		err    string
	}{
		{"", false, "NAME\n", ""},
		{"json", true, "{\"Name\":\"a\"}\n{\"Name\":\"b\"}\n", ""},
		{"json", false, "[{\"Name\":\"a\"},{\"Name\":\"b\"}]\n", ""},
		{"{{.Name}}", false, "a\nb\n", ""},
		{`table {{upper .Name}}\t{{json .Name}}`, false, "A\t\"a\"\nB\t\"b\"\n", ""},
		{"yaml", false, "", "not table, json or a Go template"},
		{"{{.Nothing}}", false, "", "cannot apply the template"},
	} {
		var out bytes.Buffer
		err := List(&out, tt.format, things, tt.lines, table)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.format, err, tt.err)
			}
			continue
		}
		if err != nil || out.String() != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.format, out.String(), err, tt.want)
		}
	}
}

func TestEmptyListIsAnArray(t *testing.T) {
	var out bytes.Buffer
	if err := List(&out, "json", []int(nil), false, nil); err != nil || out.String() != "[]\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestAgo(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want string
	}{
		{0, "Less than a second"}, {time.Second, "1 second"}, {59 * time.Second, "59 seconds"}, {time.Minute, "About a minute"},
		{59 * time.Minute, "59 minutes"}, {time.Hour, "About an hour"}, {47 * time.Hour, "47 hours"}, {72 * time.Hour, "3 days"},
		{15 * 24 * time.Hour, "2 weeks"}, {90 * 24 * time.Hour, "3 months"}, {800 * 24 * time.Hour, "2 years"},
	} {
		if got := Ago(tt.d); got != tt.want {
			t.Errorf("Ago(%v) = %q, want %q", tt.d, got, tt.want)
		}
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1500: "1.5kB", 123456789: "123MB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestComplaints(t *testing.T) {
	var out bytes.Buffer
	e := &project.Error{
		Position: project.Position{File: "compose.yaml", Line: 3, Col: 5}, Snippet: "s", Problem: "p", Fix: "f", Rule: "r",
		Via: []project.Via{{Position: project.Position{File: "a.yaml", Line: 1, Col: 2}, Kind: "included"}},
	}
	Complaints(&out, []Problem{{Kind: "invalid project", Message: "m", ExitCode: 15, Error: e}}, []project.Warning{{Text: "w"}})
	want := `{"errors":[{"kind":"invalid project","message":"m","exitCode":15,"file":"compose.yaml","line":3,"col":5,` +
		`"snippet":"s","problem":"p","fix":"f","via":[{"file":"a.yaml","line":1,"col":2,"kind":"included"}],"rule":"r"}],` +
		`"warnings":[{"problem":"w"}]}` + "\n"
	if out.String() != want {
		t.Errorf("got %s want %s", out.String(), want)
	}
}
