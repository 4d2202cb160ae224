package desired

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/schema"
)

// row is one attribute of the Compose specification, as "services.<name>.ports[].target": "<name>" stands for any name,
// "[]" for any element of a list that may be a mapping.
type row struct {
	attribute string
	types     []string // sorted: array, boolean, integer, null, number, object, string
}

// specification reads the list of attributes.
func specification(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/compose-spec.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(text)) {
		attribute, types, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if attribute != "attribute" {
			rows = append(rows, row{attribute, strings.Split(types, ",")})
		}
	}
	return rows
}

// The list is what the schema says that compose-go ships: an attribute that a new release brings shows up here.
func TestTheListIsTheSchema(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal([]byte(schema.Schema), &root); err != nil {
		t.Fatal(err)
	}
	w := schemaWalker{definitions: root["$defs"].(map[string]any), found: make(map[string]map[string]bool)}
	w.properties("", root, nil)
	rows := specification(t)
	for _, r := range rows {
		if got := slices.Sorted(maps.Keys(w.found[r.attribute])); !slices.Equal(got, r.types) {
			t.Errorf("%s is %v in the list and %v in the schema", r.attribute, r.types, got)
		}
		delete(w.found, r.attribute)
	}
	for _, attribute := range sortedKeys(w.found) {
		if !repeated(rows, attribute, slices.Sorted(maps.Keys(w.found[attribute]))) {
			t.Errorf("%s, %v, is in the schema and not in the list", attribute, slices.Sorted(maps.Keys(w.found[attribute])))
		}
	}
}

// repeated says whether the attribute need not be listed: jobs are refused as a whole, and the container of a pre_start
// hook has the attributes of a service.
func repeated(rows []row, attribute string, types []string) bool {
	if strings.HasPrefix(attribute, "jobs.") {
		return true
	}
	rest, ofHook := strings.CutPrefix(attribute, "services.<name>.pre_start[].")
	return ofHook && slices.ContainsFunc(rows, func(r row) bool {
		return r.attribute == "services.<name>."+rest && slices.Equal(r.types, types)
	})
}

// schemaWalker collects the attributes of a JSON schema with their types.
type schemaWalker struct {
	definitions map[string]any
	found       map[string]map[string]bool
}

// attribute notes the types that the node allows for the attribute, and those of what is below. above are the references
// that led here.
func (w *schemaWalker) attribute(name string, node map[string]any, above []string) {
	if reference, ok := node["$ref"].(string); ok {
		if !slices.Contains(above, reference) {
			definition := w.definitions[strings.TrimPrefix(reference, "#/$defs/")].(map[string]any)
			w.attribute(name, definition, append(above[:len(above):len(above)], reference))
		}
		return
	}
	for _, choice := range choices(node) {
		w.attribute(name, choice, above)
	}
	for _, t := range typesOf(node) {
		if w.found[name] == nil {
			w.found[name] = make(map[string]bool)
		}
		w.found[name][t] = true
	}
	w.properties(name+".", node, above)
	if items, ok := node["items"].(map[string]any); ok && w.allowsObject(items) {
		w.attribute(name+"[]", items, above)
	}
}

func (w *schemaWalker) properties(prefix string, node map[string]any, above []string) {
	properties, _ := node["properties"].(map[string]any)
	for name, p := range properties {
		w.attribute(prefix+name, p.(map[string]any), above)
	}
	patterns, _ := node["patternProperties"].(map[string]any)
	for pattern, p := range patterns {
		if pattern != "^x-" {
			w.attribute(prefix+"<name>", p.(map[string]any), above)
		}
	}
	if p, ok := node["additionalProperties"].(map[string]any); ok {
		w.attribute(prefix+"<name>", p, above)
	}
}

func (w *schemaWalker) allowsObject(node map[string]any) bool {
	if reference, ok := node["$ref"].(string); ok {
		return w.allowsObject(w.definitions[strings.TrimPrefix(reference, "#/$defs/")].(map[string]any))
	}
	return slices.Contains(typesOf(node), "object") || slices.ContainsFunc(choices(node), w.allowsObject)
}

func choices(node map[string]any) []map[string]any {
	var out []map[string]any
	for _, key := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := node[key].([]any)
		for _, choice := range list {
			out = append(out, choice.(map[string]any))
		}
	}
	return out
}

func typesOf(node map[string]any) []string {
	switch t := node["type"].(type) {
	case string:
		return []string{t}
	case []any:
		var out []string
		for _, one := range t {
			out = append(out, one.(string))
		}
		return out
	}
	return nil
}
