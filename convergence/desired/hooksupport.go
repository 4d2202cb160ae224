package desired

import (
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

const ofPreStart = "services.<name>.pre_start[]."

// addHookRows repeats for pre_start hooks, which have the attributes of a service, what is not carried out of these.
func addHookRows(t map[string]Support) {
	for name, s := range t {
		attribute, ofService := strings.CutPrefix(name, "services.<name>.")
		if ofService && s.State != Done && slices.Contains(types.ContainerSpecAttributes, attribute) {
			t[ofPreStart+attribute] = s
		}
	}
}

// inherited says that a hook has the value from its service, where it is reported already.
func (r *refuser) inherited(attribute string, path []string, v reflect.Value) bool {
	name, ofHook := strings.CutPrefix(attribute, ofPreStart)
	if !ofHook {
		return false
	}
	spec := reflect.ValueOf(r.project.Services[path[1]].ContainerSpec)
	for i := range spec.NumField() {
		if tag, _, _ := strings.Cut(spec.Type().Field(i).Tag.Get("yaml"), ","); tag == name {
			return reflect.DeepEqual(spec.Field(i).Interface(), v.Interface())
		}
	}
	return false
}
