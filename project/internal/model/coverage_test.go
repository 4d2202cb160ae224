package model_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/tree"
)

// The data of TestOracle and TestDifferences has every attribute of the specification in every type that it may have.
func TestEveryAttributeInEveryType(t *testing.T) {
	have := make(map[string]bool)
	files, err := filepath.Glob("testdata/oracle/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		collect(have, parse(t, string(text), "/", nil), "", "")
	}
	for _, d := range differences {
		collect(have, parse(t, d.text, "/", nil), "", "")
	}
	list, err := os.ReadFile("../../../convergence/desired/testdata/compose-spec.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		attribute, kinds, _ := strings.Cut(strings.TrimSpace(line), "\t")
		for kind := range strings.SplitSeq(kinds, ",") {
			if attribute != "attribute" && !have[attribute+" "+kind] {
				t.Errorf("no test has %s as %s", attribute, kind)
			}
		}
	}
	if len(have) < 500 {
		t.Errorf("%d attributes: %v", len(have), slices.Sorted(maps.Keys(have)))
	}
}

var kinds = map[tree.Kind][]string{
	tree.Null: {"null"}, tree.String: {"string"}, tree.Bool: {"boolean"}, tree.Int: {"integer", "number"}, tree.Float: {"number"},
	tree.List: {"array"}, tree.Map: {"object"},
}

// named are the mappings whose keys are the user's.
var named = []string{
	"additional_contexts", "annotations", "args", "aux_addresses", "configs", "depends_on", "driver_opts", "environment", "extra_hosts", "labels",
	"models", "networks", "options", "secrets", "services", "ssh", "sysctls", "ulimits", "volumes",
}

func collect(have map[string]bool, v *tree.Value, path, key string) {
	for _, kind := range kinds[v.Kind] {
		have[path+" "+kind] = true
	}
	for _, item := range v.Items {
		collect(have, item, path+"[]", "")
	}
	for _, e := range v.Entries {
		next := e.Key
		if slices.Contains(named, key) {
			next = "<name>"
		}
		collect(have, e.Value, strings.TrimPrefix(path+"."+next, "."), next)
	}
}
