package sim

import (
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"stackrun.dev/stack/convergence"
	"stackrun.dev/stack/convergence/plan"
)

// anyIDInName finds the fake's short IDs before or behind names.
var anyIDInName = regexp.MustCompile(`([ _])0{8}[0-9a-f]{4}`)

// Each archive in testdata/restores has a project before and after, and what is done when the operation that the first line
// names has failed on the way, with what is said about it.
func TestRestores(t *testing.T) {
	files, err := filepath.Glob("testdata/restores/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { checkRestore(t, file) })
	}
}

func checkRestore(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	section := make(map[string]string)
	for _, s := range archive.Files {
		section[s.Name] = string(s.Data)
	}
	f := newFake()
	up(t, f, parse(t, section["before"]), plan.UpOptions{})
	p, err := convergence.Plan(t.Context(), f, parse(t, section["after"]), plan.UpOptions{Handover: true})
	if err != nil {
		t.Fatal(err)
	}
	done := doneWithout(t, p, strings.TrimSpace(string(archive.Comment)))
	got := plan.Restore(p, done).Text()
	for _, u := range plan.UnfinishedUpdates(p, done) {
		got += u.Service + ": " + u.Outcome + "\n"
	}
	got = anyIDInName.ReplaceAllString(got, "${1}ID")
	golden(t, file, archive, section, "restore", got)
}

// doneWithout are the operations that succeed if this one fails.
func doneWithout(t *testing.T, p *plan.Plan, failing string) map[string]bool {
	t.Helper()
	byID := make(map[string]plan.Operation)
	for _, op := range p.Operations {
		byID[op.Head().ID] = op
	}
	var mu sync.Mutex
	done, found := make(map[string]bool), false
	p.Graph().Walk(t.Context(), 1, func(_ context.Context, id string) error {
		mu.Lock()
		defer mu.Unlock()
		failed := anyIDInName.ReplaceAllString(id, "${1}ID") == failing
		found = found || failed
		if gate, ok := byID[id].(*plan.Gate); ok {
			missing := 0
			for _, of := range gate.Of {
				if _, isGate := byID[of].(*plan.Gate); !isGate && !done[of] {
					missing++
				}
			}
			failed = missing > gate.MayFail
		}
		if failed {
			return errors.New("it fails")
		}
		done[id] = true
		return nil
	})
	if !found {
		t.Fatalf("there is no %q in:\n%s", failing, p.Text())
	}
	return done
}
