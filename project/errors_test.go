package project

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

// Each archive in testdata/errors has a project's files and, as "want", the warnings and errors that loading it gives and, if
// it loads, reading what it needs. The comment before the files may have options, one a line:
//
//	env NAME=value
//	files a.yaml b.yaml
//	profiles a b
//	name x      (of the project; "name" alone leaves it to the files)
//	strict
//	links a b   (a is a symbolic link to b)
//	raw \x1b    (in the files this text stands for the byte)
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkErrors(t, file) })
	}
}

func checkErrors(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o, raw := errorOptions(t, string(archive.Comment))
	want, inputs := "", archive.Files[:0:0]
	for _, f := range archive.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		inputs = append(inputs, f)
		writeInput(t, filepath.Join(o.WorkDir, f.Name), raw.Replace(string(f.Data)))
	}
	got := complaints(t, o)
	if *update {
		archive.Files = append(inputs, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func writeInput(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// errorOptions reads the comment of an archive.
func errorOptions(t *testing.T, comment string) (Options, *strings.Replacer) {
	t.Helper()
	o := Options{WorkDir: t.TempDir(), ProjectName: "x", Env: map[string]string{}}
	var raw []string
	for line := range strings.Lines(comment) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "env":
			name, value, _ := strings.Cut(rest, "=")
			o.Env[name] = value
		case "files":
			o.Files = strings.Fields(rest)
		case "profiles":
			o.Profiles = strings.Fields(rest)
		case "name":
			o.ProjectName = rest
		case "links":
			name, to, _ := strings.Cut(rest, " ")
			if err := os.Symlink(to, filepath.Join(o.WorkDir, name)); err != nil {
				t.Fatal(err)
			}
		case "strict":
			o.Strict = true
		case "raw":
			raw = append(raw, rest, map[string]string{`\x1b`: "\x1b", `\xff`: "\xff", `\x00`: "\x00", `\r`: "\r", `\u202e`: "\u202e"}[rest])
		case "", "#":
		default:
			t.Fatalf("unknown option %q", line)
		}
	}
	return o, strings.NewReplacer(raw...)
}

// complaints are all the messages about the project, with the test's directory left out.
func complaints(t *testing.T, o Options) string {
	p, warnings, err := Load(t.Context(), o)
	var b strings.Builder
	for _, w := range warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	if err == nil {
		_, err = p.ReadContents()
	}
	if err == nil {
		err = p.CheckBuilds()
	}
	if err != nil {
		checkPlaces(t, err)
		b.WriteString(err.Error() + "\n")
	}
	if b.Len() == 0 {
		t.Fatal("nothing to complain about")
	}
	got := strings.ReplaceAll(b.String(), o.WorkDir+"/", "")
	if strings.Contains(got, o.WorkDir) {
		got = strings.ReplaceAll(got, o.WorkDir, "DIR")
	}
	return got
}

// checkPlaces: every mistake says where it is and what kind it is, and none is told twice.
func checkPlaces(t *testing.T, err error) {
	t.Helper()
	mistakes, ok := err.(Errors) //nolint:errorlint // Load returns it as it is
	if !ok {
		t.Errorf("the error is a %T: %v", err, err)
	}
	told := make(map[string]bool)
	for _, m := range mistakes {
		if m.Line == 0 || m.Col == 0 || m.File == "" {
			t.Errorf("no place: %v", m)
		}
		if text := m.Position.String() + m.Rule; m.Rule == "" || told[text] && m.Rule != "missing-key" {
			t.Errorf("no rule, or told twice: %s %v", m.Rule, m)
		} else {
			told[text] = true
		}
	}
}
