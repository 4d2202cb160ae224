package dockerapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestPruneRule(t *testing.T) {
	for query, want := range map[string]string{
		"":                                               "possible true all false keep 0s filter [] space 0 0 0",
		"all=1&keep-storage=5":                           "possible true all true keep 0s filter [] space 5 0 0",
		"keep-storage=5&reserved-space=6":                "possible true all false keep 0s filter [] space 6 0 0",
		"max-used-space=7&min-free-space=8":              "possible true all false keep 0s filter [] space 0 7 8",
		`filters={"until":{"24h":true}}`:                 "possible true all false keep 24h0m0s filter [] space 0 0 0",
		`filters={"unused-for":{"1h":true}}`:             "possible true all false keep 1h0m0s filter [] space 0 0 0",
		`filters={"type":["exec.cachemount"]}`:           "possible true all false keep 0s filter [type==exec.cachemount] space 0 0 0",
		`filters={"shared":{"":true},"id":{"abc":true}}`: "possible true all false keep 0s filter [id~=abc,shared] space 0 0 0",
		`filters={"label":{"a=b":true}}`:                 "possible false all false keep 0s filter [] space 0 0 0",
		`filters={"label!":{"a=b":true}}`:                "possible true all false keep 0s filter [] space 0 0 0",
		`filters={"type":["a","b"]}`:                     "error: cannot prune the build cache: the filter type is given more than once",
		`filters={"until":["1h"],"unused-for":["1"]}`:    "error: cannot prune the build cache: the filter until is given more than once",
		`filters={"until":["soon"]}`:                     "error: cannot read the filter until=soon",
		`filters={"colour":["red"]}`:                     "error: cannot prune the build cache: invalid filter 'colour'",
		"filters=red":                                    "error: cannot read the filters",
		"max-used-space=much":                            "error: cannot read the option max-used-space",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(http.MethodPost, "/build/prune?"+values.Encode(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		rule, possible, err := pruneRule(r)
		got := fmt.Sprint("possible ", possible, " all ", rule.All, " keep ", rule.KeepDuration.Round(time.Minute), " filter ", rule.Filter,
			" space ", rule.ReservedSpace, " ", rule.MaxUsedSpace, " ", rule.MinFreeSpace)
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want && (err == nil || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
