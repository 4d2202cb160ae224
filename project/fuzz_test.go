package project

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/sirupsen/logrus"
)

// What loading may take, whatever the files say, where they are small. A file of the largest size may take 400 MB.
const (
	fuzzTime   = 5 * time.Second
	fuzzMemory = 256 << 20
	fuzzSize   = 16 << 10
)

// FuzzLoad loads projects of several files. There is a project or a mistake of the user's, soon, and without much memory; and
// what both accept is for compose-go the same project (see comparing).
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/corpus/*.txtar", "testdata/errors/*.txtar"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal("no test data")
		}
		for _, file := range files {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(txtar.Format(onlyInputs(archive))), []byte{})
		}
	}
	logrus.SetLevel(logrus.PanicLevel) // of compose-go
	f.Setenv("HOME", "/home/user")
	f.Fuzz(func(t *testing.T, text string, edits []byte) {
		text = rearranged(text, edits)
		dir := filepath.Join(t.TempDir(), "project")
		if len(text) > fuzzSize || !writeArchive(t, dir, text) {
			return
		}
		p := loadWithin(t, dir)
		if p == nil || !comparing() || oracleDiffers(text) != "" {
			return
		}
		t.Chdir(dir)
		if want, err := oracle(t, p); err == nil {
			if d := differ(t, p.Project, want); d != "" {
				t.Errorf("%s\n%s", text, d)
			}
		}
	})
}

// comparing says whether inputs are held against compose-go: those of the corpus always; new ones when $STACK_FUZZ_ORACLE is set,
// because what compose-go makes of a random text is a question for a person and no failure of a build.
func comparing() bool {
	return !fuzzing() || os.Getenv("STACK_FUZZ_ORACLE") != ""
}

// fuzzing says whether inputs are being made up.
func fuzzing() bool {
	for _, name := range []string{"test.fuzz", "test.fuzzworker"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" && f.Value.String() != "false" {
			return true
		}
	}
	return false
}

// rearranged changes lines of the text: most texts that differ in some bytes only are no YAML any more, and nothing is learned
// from them. Three bytes are an edit: what is done, with which line, and with which other one.
func rearranged(text string, edits []byte) string {
	lines := strings.SplitAfter(text, "\n")
	for len(edits) >= 3 && len(lines) > 1 {
		i, j := int(edits[1])%len(lines), int(edits[2])%len(lines)
		switch edits[0] % 5 {
		case 0:
			lines = slices.Delete(lines, i, i+1)
		case 1:
			lines = slices.Insert(lines, j, lines[i])
		case 2:
			lines[i], lines[j] = lines[j], lines[i]
		case 3:
			lines[i] = indented(lines[j], lines[i])
		case 4:
			key, _, _ := strings.Cut(lines[i], ": ")
			if _, value, ok := strings.Cut(lines[j], ": "); ok {
				lines[i] = key + ": " + value
			}
		}
		edits = edits[3:]
	}
	return strings.Join(lines, "")
}

// indented is the line with the indentation of the other one.
func indented(as, line string) string {
	return as[:len(as)-len(strings.TrimLeft(as, " "))] + strings.TrimLeft(line, " ")
}

func onlyInputs(a *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "want") {
			out.Files = append(out.Files, f)
		}
	}
	return out
}

// writeArchive writes the files and says whether they are a project that can be one.
func writeArchive(t *testing.T, dir, text string) bool {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// txtar.Parse panics when a marker has no name.
	places := fileMarker.FindAllStringSubmatchIndex(text, -1)
	for i, m := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		name, content := text[m[2]:m[3]], text[m[1]:end]
		if !strings.HasSuffix(content, "\n") {
			content += "\n" // compose-go loses a name at the very end of an env file
		}
		path := filepath.Join(dir, name)
		if !filepath.IsLocal(name) || os.MkdirAll(filepath.Dir(path), 0o700) != nil || os.WriteFile(path, []byte(content), 0o600) != nil {
			return false
		}
	}
	return len(places) > 0
}

var fileMarker = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

func loadWithin(t *testing.T, dir string) *Project {
	t.Helper()
	o := Options{WorkDir: dir, Profiles: []string{"*"}, Env: map[string]string{"HOME": "/home/user", "SET": "s", "EMPTY": ""}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	p, _, err := Load(context.Background(), o)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > fuzzTime {
		t.Errorf("it took %v", took)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > fuzzMemory {
		t.Errorf("%d bytes of memory", used)
	}
	if err == nil && p == nil {
		t.Error("neither a project nor an error")
	}
	if _, ok := errors.AsType[*Error](err); err != nil && !ok && !errors.Is(err, ErrNoFile) && !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not the user's mistake: %v", err)
	}
	return p
}

// oracleDiffers says why compose-go may make another project of the files, or "". The differences that the corpus has are
// listed with it.
func oracleDiffers(text string) string {
	for reason, pattern := range fuzzDifferences {
		if pattern.MatchString(text) {
			return reason
		}
	}
	return ""
}

var fuzzDifferences = map[string]*regexp.Regexp{
	"where names are free, one may begin with x-; compose-go panics or drops it": regexp.MustCompile(`[^\n]x-`),
	"compose-go refuses the format raw, which Compose itself adds to it":         regexp.MustCompile(`\braw\b`),
	"YAML 1.2 has no dates; compose-go makes times":                              regexp.MustCompile(`\d-\d\d?-\d`),
	"realtime scheduling may be given as durations":                              regexp.MustCompile(`cpu_rt_`),
	"limits of block devices are mappings by the device's path":                  regexp.MustCompile(`blkio_config`),
	"a volume's name may have one letter":                                        regexp.MustCompile(`\b[a-zA-Z]:[/\\]`),
	"what an included file names without a value comes from its own variables":   regexp.MustCompile(`(?s)include.*(env_file|\.env --)|(env_file|\.env --).*include`),
	"the path of a key may look like a number":                                   regexp.MustCompile(`\bssh:`),
	"a limit of a build is a number or a mapping":                                regexp.MustCompile(`ulimits`),
}
