package scripts

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"stackrun.dev/stack/watch/fsnotify"
)

// awaitLines waits until a file, which another program writes, has so many lines that match, and fails if there are more of them:
//
//	printed FILE COUNT PATTERN
func awaitLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: printed FILE COUNT PATTERN")
	}
	file := ts.MkAbs(args[0])
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	pattern, err := regexp.Compile(args[2])
	ts.Check(err)
	source, err := fsnotify.New()
	ts.Check(err)
	defer func() { _ = source.Close() }()
	ts.Check(source.Add(filepath.Dir(file)))
	late := time.After(patience)
	for {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			ts.Check(err)
		}
		switch got := matches(string(text), pattern); {
		case got == count:
			return
		case got > count:
			ts.Fatalf("%s has %d lines that match %q, want %d:\n%s", args[0], got, args[2], count, text)
		}
		select {
		case <-source.Events():
		case <-late:
			ts.Fatalf("after %v %s has not %d lines that match %q:\n%s", patience, args[0], count, args[2], text)
		}
	}
}

// matches counts the whole lines that match.
func matches(text string, pattern *regexp.Regexp) int {
	n := 0
	for line := range strings.Lines(text) {
		if whole, ok := strings.CutSuffix(line, "\n"); ok && pattern.MatchString(whole) {
			n++
		}
	}
	return n
}

// save writes a file as many editors do, another one that is renamed over it, so that nobody sees it half written:
//
//	save CONTENT FILE
func save(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: save CONTENT FILE")
	}
	text, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	other := ts.MkAbs(".saved")
	ts.Check(os.WriteFile(other, text, 0o644))
	ts.Check(os.Rename(other, ts.MkAbs(args[1])))
}
