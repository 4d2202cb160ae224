package model

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// decoder collects what cannot be decoded.
type decoder struct {
	variables bool // a text may have some that are not replaced, so that it cannot be decoded
	errors    []Error
}

func (d *decoder) fail(v *tree.Value, rule, problem, fix string) {
	if d.variables && strings.Contains(v.Text, "$") {
		return
	}
	d.errors = append(d.errors, Error{Place: v.Place, Rule: rule, Problem: problem, Fix: fix})
}

// The rules of mistakes that several decoders find.
const (
	ruleType   = "wrong-type"
	ruleRange  = "out-of-range"
	ruleDouble = "contradiction"
)

// want reports a value of a wrong kind.
func (d *decoder) want(v *tree.Value, what string) {
	d.fail(v, ruleType, fmt.Sprintf("what stands here must be %s, not %s", what, kindNames[v.Kind]), "")
}

var kindNames = [...]string{
	tree.Null: "nothing", tree.String: "a string", tree.Bool: "a boolean", tree.Int: "a whole number", tree.Float: "a number",
	tree.List: "a list", tree.Map: "a mapping",
}

// decode puts the value into what to points at.
func (d *decoder) decode(v *tree.Value, to any) {
	target := reflect.ValueOf(to).Elem()
	planOf(target.Type())(d, v, target)
}

// A plan decodes values into one type. Null leaves the target as it is, unless the type says otherwise.
type plan func(d *decoder, v *tree.Value, to reflect.Value)

var plans sync.Map // reflect.Type → plan

func planOf(t reflect.Type) plan {
	if p, ok := plans.Load(t); ok {
		return p.(plan)
	}
	inner := newPlan(t)
	p := plan(func(d *decoder, v *tree.Value, to reflect.Value) {
		if v != nil && v.Kind != tree.Null {
			inner(d, v, to)
		}
	})
	plans.Store(t, p)
	return p
}

func newPlan(t reflect.Type) plan {
	if p := ownPlan(t); p != nil {
		return p
	}
	switch t.Kind() {
	case reflect.Struct:
		return structPlan(t)
	case reflect.Pointer:
		return pointerPlan(t)
	case reflect.Slice:
		return slicePlan(t)
	case reflect.Map:
		return mapPlan(t)
	case reflect.Interface:
		return func(_ *decoder, v *tree.Value, to reflect.Value) { to.Set(reflect.ValueOf(plain(v))) }
	}
	return scalarPlan(t)
}

func pointerPlan(t reflect.Type) plan {
	elem := planOf(t.Elem())
	return func(d *decoder, v *tree.Value, to reflect.Value) {
		target := reflect.New(t.Elem())
		elem(d, v, target.Elem())
		to.Set(target)
	}
}

func slicePlan(t reflect.Type) plan {
	elem := planOf(t.Elem())
	return func(d *decoder, v *tree.Value, to reflect.Value) {
		if v.Kind != tree.List {
			d.want(v, "a list")
			return
		}
		out := reflect.MakeSlice(t, len(v.Items), len(v.Items))
		for i, item := range v.Items {
			elem(d, item, out.Index(i))
		}
		to.Set(out)
	}
}

func mapPlan(t reflect.Type) plan {
	elem := planOf(t.Elem())
	return func(d *decoder, v *tree.Value, to reflect.Value) {
		if v.Kind != tree.Map {
			d.want(v, "a mapping")
			return
		}
		out := reflect.MakeMapWithSize(t, len(v.Entries))
		value := reflect.New(t.Elem()).Elem()
		for i := range v.Entries {
			value.SetZero()
			elem(d, v.Entries[i].Value, value)
			out.SetMapIndex(reflect.ValueOf(&v.Entries[i].Key).Elem(), value)
		}
		to.Set(out)
	}
}

// fieldPlan is how one attribute of a struct is decoded.
type fieldPlan struct {
	index []int
	plan  plan
}

// object is a struct's attributes by name.
type object struct {
	fields     map[string]fieldPlan
	extensions []int // where the attributes go that begin with "x-"; nil if nowhere
}

func structPlan(t reflect.Type) plan {
	o := &object{fields: make(map[string]fieldPlan)}
	o.addFields(t, nil)
	return func(d *decoder, v *tree.Value, to reflect.Value) {
		if v.Kind != tree.Map {
			d.want(v, "a mapping")
			return
		}
		o.decode(d, v, to)
	}
}

func (o *object) decode(d *decoder, v *tree.Value, to reflect.Value) {
	var extensions types.Extensions
	for i := range v.Entries {
		e := &v.Entries[i]
		if f, ok := o.fields[e.Key]; ok {
			f.plan(d, e.Value, to.FieldByIndex(f.index))
			continue
		}
		if o.extensions == nil || !strings.HasPrefix(e.Key, "x-") {
			continue // what is unknown was reported in an earlier phase
		}
		if extensions == nil {
			extensions = make(types.Extensions)
		}
		extensions[e.Key] = plain(e.Value)
	}
	if extensions != nil {
		to.FieldByIndex(o.extensions).Set(reflect.ValueOf(extensions))
	}
}

// addFields adds the attributes of a struct that starts at the index path, and of those that are inlined into it.
func (o *object) addFields(t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(at[:len(at):len(at)], i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
		case f.Type == reflect.TypeFor[types.Extensions]():
			o.extensions = index
		case f.Anonymous && strings.Contains(options, "inline"):
			o.addFields(f.Type, index)
		default:
			if name == "" {
				name = strings.ToLower(f.Name)
			}
			o.fields[name] = fieldPlan{index, fieldPlanOf(t, name, f.Type)}
		}
	}
}

// fieldPlanOf is the plan of a field's type, but for two attributes whose texts are not decimal.
func fieldPlanOf(owner reflect.Type, name string, t reflect.Type) plan {
	switch owner.Name() + "." + name {
	case "ContainerSpec.umask":
		return umask
	case "ServiceVolumeTmpfs.mode":
		return octal
	}
	return planOf(t)
}
