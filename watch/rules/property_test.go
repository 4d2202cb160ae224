package rules

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/patternmatcher"
)

// seed is that of STACK_TEST_SEED, or any.
func seed(t *testing.T) *rand.Rand {
	n := rand.Uint64()
	if text := os.Getenv("STACK_TEST_SEED"); text != "" {
		var err error
		n, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("STACK_TEST_SEED=%d", n)
	return rand.New(rand.NewPCG(n, n))
}

func pick(r *rand.Rand, from ...string) string { return from[r.IntN(len(from))] }

func randomName(r *rand.Rand) string { return pick(r, "a", "b", "ab", "a.b", "b.a", "é", "a^b", "!a") }

func randomPath(r *rand.Rand, most int) string {
	names := make([]string, 1+r.IntN(most))
	for i := range names {
		names[i] = randomName(r)
	}
	return strings.Join(names, "/")
}

func randomPattern(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(3) == 0 {
		b.WriteString("!")
	}
	b.WriteString(pick(r, "", "", "", "./", "**/", "/"))
	for i := range 1 + r.IntN(1+r.IntN(4)) {
		if i > 0 {
			b.WriteString("/")
		}
		b.WriteString(pick(r, randomName(r), randomName(r), randomName(r), "*", "**", "*a", "a*", "*.b", "?", "a?b", "[ab]", "[^a]", `\a`, "a**", "**b", "***", ".", "a]"))
	}
	b.WriteString(pick(r, "", "", "", "/", "/**"))
	return b.String()
}

func randomPatterns(r *rand.Rand, most int) []string {
	var out []string
	for range r.IntN(most + 1) {
		if p := randomPattern(r); usable(p) {
			out = append(out, p)
		}
	}
	return out
}

func usable(text string) bool {
	_, err := compileOne(text, everywhere)
	return err == nil
}

// What is asked before Docker's matcher, or instead of it, does not change what it says.
func TestPatternsAreDockers(t *testing.T) {
	r := seed(t)
	matched := 0
	for range 1500 {
		texts := randomPatterns(r, 4)
		ours, err := compile(texts, here)
		must(t, err)
		theirs := dockers(t, texts)
		for range 5 {
			path := randomPath(r, 5)
			want, err := theirs.MatchesOrParentMatches(path)
			must(t, err)
			if got := ours.match(path); got != want {
				t.Fatalf("%q with %q: %v, and Docker says %v", path, texts, got, want)
			}
			if want {
				matched++
			}
		}
	}
	if matched < 500 {
		t.Errorf("only %d paths matched", matched)
	}
}

// dockers gives the patterns to Docker's matcher as it wants them: without "." and "/" at their beginning, as ignorefile does.
func dockers(t *testing.T, texts []string) *patternmatcher.PatternMatcher {
	t.Helper()
	var out []string
	for _, text := range texts {
		p, err := compileOne(text, here)
		must(t, err)
		clean := p.text
		if strings.HasPrefix(clean, "!") {
			clean = `\` + clean
		}
		if p.exception {
			clean = "!" + clean
		}
		out = append(out, clean)
	}
	m, err := patternmatcher.New(out)
	must(t, err)
	return m
}

// Of a directory that is skipped nothing matches, neither itself nor anything below it.
func TestSkippedIsNeverMissed(t *testing.T) {
	r := seed(t)
	skipped := 0
	for range 1500 {
		rule, err := randomRule(r)
		must(t, err)
		for range 5 {
			dir := rule.Path + "/" + randomPath(r, 3)
			if !rule.Skips(dir, true) {
				continue
			}
			skipped++
			if _, ok := rule.Matches(dir, true); ok {
				t.Fatalf("%s is skipped and matches: %s", dir, describe(rule))
			}
			for range 20 {
				path := dir + "/" + randomPath(r, 3)
				for _, isDir := range []bool{false, true} {
					if _, ok := rule.Matches(path, isDir); ok || !rule.Skips(path, isDir) {
						t.Fatalf("%s matches, or is not skipped, and %s is skipped: %s", path, dir, describe(rule))
					}
				}
			}
		}
	}
	if skipped < 250 {
		t.Errorf("only %d directories were skipped", skipped)
	}
}

func randomRule(r *rand.Rand) (*Rule, error) {
	rule := &Rule{Path: pick(r, "/p", "/p/a", "/p/b/ab"), Include: randomPatterns(r, 2), Ignore: randomPatterns(r, 3)}
	if r.IntN(4) == 0 {
		rule.mounted = []string{randomPath(r, 2)}
	}
	leftOut, err := compile(randomPatterns(r, 3), here)
	if err != nil {
		return nil, err
	}
	return rule, (&maker{}).add(rule, leftOut, pick(r, "/p", "/p/a", "/q"))
}

func describe(r *Rule) string {
	var leftOut []string
	for _, p := range r.leftOut {
		leftOut = append(leftOut, fmt.Sprintf("%v %s", p.exception, p.text))
	}
	return fmt.Sprintf("include %q, ignore %q, mounted %q, left out of %s: %q", r.Include, r.Ignore, r.mounted, r.context, leftOut)
}

func FuzzPattern(f *testing.F) {
	for _, text := range []string{"a", "!a", "**/a", "*.log", "a/**/b", "[a-c]", `\*`, "a\xff*", "\uFEFFa*", "a//b", "../a", "/"} {
		f.Add(text, "a/b.log")
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := compileOne(text, here)
		if err != nil || p == nil || path == "" || path[0] == '/' {
			t.Skip()
		}
		want, err := p.matcher.MatchesOrParentMatches(path)
		if err != nil {
			t.Skip()
		}
		if got := p.matches(path); got != want {
			t.Errorf("%q with %q: %v, and Docker says %v", path, text, got, want)
		}
	})
}

// 100,000 paths of a project with what such projects ignore.
func BenchmarkMatches(b *testing.B) {
	ignore := []string{"node_modules/", "**/*.log", "*.tmp", "dist", "coverage/**", "**/__pycache__", "**/*.pyc", "tmp/*", "!tmp/keep", "**/.cache/**"}
	r := &Rule{Path: "/home/user/project", Ignore: ignore, Include: []string{"**/*.js", "**/*.py", "**/*.ts", "views/"}}
	leftOut, err := compile([]string{"*", "!src", "!views", "src/**/test"}, here)
	if err != nil {
		b.Fatal(err)
	}
	if err := (&maker{}).add(r, leftOut, r.Path); err != nil {
		b.Fatal(err)
	}
	var paths []string
	for i := range 100_000 {
		dir := []string{"src/components/page", "views/user/profile", "src/api/v1/handlers", "node_modules/react/lib", "src/a/test"}[i%5]
		paths = append(paths, fmt.Sprintf("%s/%s/dir%d/file%d%s", r.Path, dir, i/100, i, []string{".js", ".py", ".ts", ".css", ".log"}[i/5%5]))
	}
	matched := 0
	for b.Loop() {
		matched = 0
		for _, path := range paths {
			if _, ok := r.Matches(path, false); ok {
				matched++
			}
		}
	}
	if matched == 0 || matched == len(paths) {
		b.Errorf("%d of %d match", matched, len(paths))
	}
}
