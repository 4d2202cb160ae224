package desired

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
)

// Every attribute that compose-go's model has is in the table, by itself or by one above it: a new release of compose-go
// cannot bring an attribute that nobody has decided about.
func TestTableIsComplete(t *testing.T) {
	w := typeWalker{found: make(map[string]bool)}
	w.walk("services.<name>", reflect.TypeFor[types.ServiceConfig](), false)
	w.walk("networks.<name>", reflect.TypeFor[types.NetworkConfig](), false)
	w.walk("volumes.<name>", reflect.TypeFor[types.VolumeConfig](), false)
	w.walk("secrets.<name>", reflect.TypeFor[types.SecretConfig](), false)
	w.walk("configs.<name>", reflect.TypeFor[types.ConfigObjConfig](), false)
	w.walk("models.<name>", reflect.TypeFor[types.ModelConfig](), false)
	for _, attribute := range w.missing {
		t.Errorf("%s is not in the table", attribute)
	}
	for _, s := range Table() {
		if elsewhere := []string{"include", "jobs", "name", "version"}; !w.found[s.Attribute] && !slices.Contains(elsewhere, s.Attribute) {
			t.Errorf("%s is in the table and not in the model", s.Attribute)
		}
		if s.State != Done && s.Reason == "" {
			t.Errorf("%s is %s without a reason", s.Attribute, s.State)
		}
	}
}

type typeWalker struct {
	found   map[string]bool
	missing []string
}

func (w *typeWalker) walk(attribute string, t reflect.Type, covered bool) {
	_, listed := table[attribute]
	if listed {
		w.found[attribute] = true
	}
	covered = covered || listed
	if covered && !listedBelow[attribute] {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && hasTags(t):
		w.fields(attribute, t, covered)
	case t.Kind() == reflect.Map:
		w.walk(attribute+".<name>", t.Elem(), covered)
	case t.Kind() == reflect.Slice:
		w.walk(attribute+"[]", t.Elem(), covered)
	case !covered:
		w.missing = append(w.missing, attribute)
	}
}

func (w *typeWalker) fields(attribute string, t reflect.Type, covered bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case tag == "-" || strings.HasPrefix(tag, "#") || f.Type == reflect.TypeFor[types.Extensions]() || !f.IsExported():
		case tag == "" && f.Anonymous:
			w.fields(attribute, f.Type, covered)
		case tag == "":
			w.walk(attribute+"."+strings.ToLower(f.Name), f.Type, covered)
		default:
			w.walk(attribute+"."+tag, f.Type, covered)
		}
	}
}
