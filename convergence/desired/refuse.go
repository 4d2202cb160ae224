package desired

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"stackrun.dev/stack/project"
)

// refuser looks every attribute that is set up in the table.
type refuser struct {
	project  *project.Project
	errors   project.Errors
	warnings []project.Warning
}

func (r *refuser) run() {
	model := reflect.ValueOf(r.project.Project).Elem()
	for _, part := range []struct{ name, field string }{
		{"services", "Services"}, {"networks", "Networks"}, {"volumes", "Volumes"}, {"secrets", "Secrets"}, {"configs", "Configs"},
		{"models", "Models"}, {"jobs", "Jobs"},
	} {
		field := model.FieldByName(part.field)
		if field.IsValid() && field.Len() > 0 {
			r.value(part.name, []string{part.name}, field, false)
		}
	}
}

// value descends as long as the table has something to say about what is below. covered means that an attribute above is
// carried out with all that it holds.
func (r *refuser) value(attribute string, path []string, v reflect.Value, covered bool) {
	if v.IsZero() || v.Kind() == reflect.String && v.String() == harmless[attribute] {
		return
	}
	known, listed := table[attribute]
	if listed && known.State != Done {
		if !r.inherited(attribute, path, v) {
			r.report(attribute, known, path)
		}
		return
	}
	covered = covered || listed
	if covered && !listedBelow[attribute] {
		return
	}
	v = indirect(v)
	switch {
	case v.Kind() == reflect.Struct && hasTags(v.Type()):
		r.fields(attribute, path, v, covered)
	case v.Kind() == reflect.Map:
		r.entries(attribute, path, v, covered)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			r.value(attribute+"[]", extend(path, strconv.Itoa(i)), v.Index(i), covered)
		}
	case !covered:
		r.report(attribute, Support{State: Refused, Reason: unknownHere}, path)
	}
}

func (r *refuser) entries(attribute string, path []string, v reflect.Value, covered bool) {
	keys := make(map[string]reflect.Value, v.Len())
	for _, k := range v.MapKeys() {
		keys[k.String()] = v.MapIndex(k)
	}
	for _, k := range sortedKeys(keys) {
		if (attribute == "configs" || attribute == "secrets") && r.unused(attribute, k) {
			continue
		}
		r.value(attribute+".<name>", extend(path, k), keys[k], covered)
	}
}

func (r *refuser) fields(attribute string, path []string, v reflect.Value, covered bool) {
	t := v.Type()
	for i := range t.NumField() {
		if v.Field(i).IsZero() {
			continue
		}
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		switch {
		case tag == "-" || strings.HasPrefix(tag, "#"):
			continue
		case tag == "" && t.Field(i).Anonymous:
			r.fields(attribute, path, v.Field(i), covered)
			continue
		case tag == "":
			tag = strings.ToLower(t.Field(i).Name)
		}
		r.value(attribute+"."+tag, extend(path, tag), v.Field(i), covered)
	}
}

func (r *refuser) report(attribute string, s Support, path []string) {
	name := strings.Join(path[min(2, len(path)-1):], ".")
	if s.State == Read {
		at := r.project.Position(path...)
		r.warnings = append(r.warnings, project.Warning{Position: at, Text: fmt.Sprintf("%s has no effect: %s", name, s.Reason)})
		return
	}
	r.errors = append(r.errors, r.project.Mistake(fmt.Sprintf("%s is not supported: %s", name, s.Reason), "", path...))
}

func indirect(v reflect.Value) reflect.Value {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v
}

func hasTags(t reflect.Type) bool {
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("yaml"); ok {
			return true
		}
	}
	return false
}

func extend(path []string, step string) []string {
	return append(path[:len(path):len(path)], step)
}
