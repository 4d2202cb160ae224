package project

import (
	"fmt"
	"testing"
)

func TestOnChange(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a word", "restart", "[{Restart:true 3:27}]"},
		{"a mapping", "{restart: true}", "[{Restart:true 3:27}]"},
		{"of a variable", `{restart: "${YES}"}`, "[{Restart:true 3:27}]"},
		{"a signal", "{signal: SIGHUP}", "[{Signal:SIGHUP 3:27}]"},
		{"a signal without SIG", "{signal: hup}", "[{Signal:SIGHUP 3:27}]"},
		{"a signal's number", "{signal: 1}", "[{Signal:1 3:27}]"},
		{"a real-time signal", "{signal: rtmin+3}", "[{Signal:SIGRTMIN+3 3:27}]"},
		{"a command", "{exec: [sh, -c, 'a b', 5]}", "[{Exec:[sh -c a b 5] 3:27}]"},
		{"one pattern", "{restart: true, paths: '*.py'}", "[{Restart:true Paths:[*.py] 3:27}]"},
		{"patterns", "{restart: true, paths: ['*.py', a/], ignore: [b]}", "[{Restart:true Paths:[*.py a/] Ignore:[b] 3:27}]"},
		{"several", "[restart, {signal: HUP}]", "[{Restart:true 3:28} {Signal:SIGHUP 3:37}]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			text := "services:\n  web: {image: i, volumes: ['.:/w'],\n    x-stack: {on_change:  " + tc.text + "}}\n"
			writeInput(t, dir+"/compose.yaml", text)
			p, warnings, err := Load(t.Context(), Options{WorkDir: dir, Env: map[string]string{"YES": "true"}})
			if err != nil || len(warnings) > 0 {
				t.Fatal(warnings, err)
			}
			if got := reactions(p.OnChange("web")); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if p.OnChange("db") != nil {
				t.Error("a service that is not there reacts")
			}
		})
	}
}

// reactions prints what is set.
func reactions(all []OnChange) string {
	var out []string
	for _, c := range all {
		text := ""
		add := func(name string, is bool, value any) {
			if is {
				text += fmt.Sprintf("%s:%v ", name, value)
			}
		}
		add("Restart", c.Restart, true)
		add("Signal", c.Signal != "", c.Signal)
		add("Exec", c.Exec != nil, c.Exec)
		add("Paths", c.Paths != nil, c.Paths)
		add("Ignore", c.Ignore != nil, c.Ignore)
		out = append(out, fmt.Sprintf("{%s%d:%d}", text, c.Place.Line, c.Place.Col))
	}
	return fmt.Sprint(out)
}

// What other files say is added, as to any list of an extension.
func TestOnChangeOfSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	writeInput(t, dir+"/compose.yaml", "services:\n  web: {extends: {file: base.yaml, service: base}, image: i, volumes: ['.:/w']}\n")
	writeInput(t, dir+"/base.yaml", "services:\n  base: {x-stack: {on_change: [{restart: true, paths: [a]}]}}\n")
	writeInput(t, dir+"/compose.override.yaml", "services:\n  web: {x-stack: {on_change: [{signal: HUP, paths: [b]}]}}\n")
	p, _, err := Load(t.Context(), Options{WorkDir: dir, Env: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := reactions(p.OnChange("web")); got != "[{Restart:true Paths:[a] 2:32} {Signal:SIGHUP Paths:[b] 2:31}]" {
		t.Error(got)
	}
}

func TestInitialSync(t *testing.T) {
	for text, off := range map[string]bool{
		"": false, ", initial_sync: true": false, ", initial_sync: false": true, ", x-initialSync: false": true, ", x-initialSync: true": false,
	} {
		dir := t.TempDir()
		writeInput(t, dir+"/compose.yaml", "services:\n  web:\n    image: i\n    develop: {watch: [{path: ., action: sync, target: /app"+text+"}]}\n")
		p, _, err := Load(t.Context(), Options{WorkDir: dir, Env: map[string]string{}})
		if err != nil {
			t.Fatal(err)
		}
		watches := p.Watches("web")
		if len(watches) != 1 || watches[0].NoInitialSync != off || watches[0].Position("target").Col != 47 {
			t.Errorf("%q: %+v", text, watches)
		}
	}
}
