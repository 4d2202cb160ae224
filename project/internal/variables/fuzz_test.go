package variables

import (
	"errors"
	"flag"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// FuzzInterpolation holds what variables make of a text against compose-go.
func FuzzInterpolation(f *testing.F) {
	for _, row := range expansions {
		f.Add(row.text)
	}
	f.Add(strings.Repeat("${NO:-", Depth+1) + "x" + strings.Repeat("}", Depth+1))
	f.Fuzz(func(t *testing.T, text string) {
		within(t, len(text)*200, func() {
			x, err := Expand(text, sampleLookup, MaxGrowth)
			checkExpansion(t, text, x, err)
			Named(text)
		})
		if len(text) > 4096 || !comparing() {
			return // compose-go's expressions take their time
		}
		got, want := ours(text), theirs(text)
		if got != want && expandDiffers(text, got) == "" {
			t.Errorf("%q: got %q, compose-go makes it %q", text, got, want)
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

// within fails if the function takes longer than two seconds, or allocates more than 64 bytes a byte and two MB.
func within(t *testing.T, size int, do func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	do()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > uint64(64*size+2<<20) {
		t.Errorf("%d bytes of memory for %d bytes", used, size)
	}
}

// checkExpansion checks that every place is one of a "$".
func checkExpansion(t *testing.T, text string, x Expansion, err error) {
	t.Helper()
	var places []int
	for _, u := range x.Uses {
		places = append(places, u.Offset)
	}
	for _, n := range x.Notices(text) {
		places = append(places, n.Offset)
	}
	if m, ok := errors.AsType[*Mistake](err); ok && m.Rule != RuleLimit {
		places = append(places, m.Offset)
	} else if err != nil && !ok {
		t.Errorf("not a mistake: %v", err)
	}
	for _, i := range append(places, x.Lone...) {
		if i < 0 || i >= len(text) || text[i] != '$' {
			t.Fatalf("%q: there is no $ at %d", text, i)
		}
	}
}

// FuzzDotenv holds what is read from an env file against compose-go.
func FuzzDotenv(f *testing.F) {
	for _, row := range files {
		f.Add(row.content)
	}
	f.Fuzz(func(t *testing.T, content string) {
		var got map[string]string
		var mistake *Mistake
		within(t, len(content)*200, func() {
			got, mistake = readOurs(content)
			checkReading(t, content)
			_ = File{Content: []byte(content), Into: Env{}, Lookup: sampleLookup}.ReadRaw()
		})
		if len(content) > 4096 || !comparing() {
			return
		}
		// compose-go takes a name at the very end of a file as the value of a variable that has no name.
		theirs, err := readTheirs(content + "\n")
		if readDiffers(content, mistake) != "" {
			return
		}
		if (err != nil) != (mistake != nil) || err == nil && printed(got) != printed(theirs) {
			t.Errorf("%q:\ngot %s, %v\ncompose-go reads %s, %v", content, printed(got), mistake, printed(theirs), err)
		}
	})
}

// checkReading checks that mistakes and notices have places in the file.
func checkReading(t *testing.T, content string) {
	t.Helper()
	notices, err := File{Name: "x", Content: []byte(content), Into: Env{}, Lookup: sampleLookup}.Read()
	lines := 1 + strings.Count(content, "\n")
	if m, ok := errors.AsType[*Mistake](err); ok {
		notices = append(notices, Notice{Line: m.Line, Col: m.Col})
	}
	for _, n := range notices {
		if n.Line < 1 || n.Line > lines || n.Col < 1 || n.Col > len(content)+1 {
			t.Fatalf("%q: there is no place %d:%d", content, n.Line, n.Col)
		}
	}
}

// readDiffers says why compose-go may read the file in another way, or "".
func readDiffers(content string, m *Mistake) string {
	switch {
	case m != nil && m.Rule == RuleLimit:
		return "compose-go has no limits"
	case m != nil && strings.Contains(m.Problem, "NUL"):
		return "compose-go takes NUL, with which no program can be started"
	case m != nil && strings.Contains(m.Problem, "a name is missing before"):
		return "compose-go sets a variable without a name"
	case m != nil && strings.Contains(m.Problem, "white space"):
		return "compose-go takes white space other than a space in a name"
	case expandDiffers(content, outcome{}) != "":
		return expandDiffers(content, outcome{})
	}
	return ""
}
