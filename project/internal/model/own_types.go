package model

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
)

// ownPlan is of the types that have several written forms.
func ownPlan(t reflect.Type) plan {
	switch reflect.Zero(t).Interface().(type) {
	case types.MappingWithEquals:
		return own((*decoder).environment)
	case types.Labels:
		return own((*decoder).labels)
	case types.Mapping:
		return own((*decoder).mapping)
	case types.Options:
		return own((*decoder).options)
	case types.MultiOptions:
		return own((*decoder).multiOptions)
	case types.HostsList:
		return own((*decoder).hosts)
	case types.SSHConfig:
		return own((*decoder).ssh)
	case types.ShellCommand:
		return own((*decoder).command)
	case types.HealthCheckTest:
		return own((*decoder).test)
	case types.StringList:
		return own(func(d *decoder, v *tree.Value) types.StringList { return d.strings(v) })
	case types.StringOrNumberList:
		return own(func(d *decoder, v *tree.Value) types.StringOrNumberList { return d.strings(v) })
	}
	return ownScalarPlan(t)
}

func ownScalarPlan(t reflect.Type) plan {
	switch reflect.Zero(t).Interface().(type) {
	case types.UnitBytes:
		return own((*decoder).size)
	case types.Duration:
		return own((*decoder).duration)
	case types.NanoCPUs:
		return own((*decoder).cpus)
	case types.DeviceCount:
		return own((*decoder).count)
	case types.FileMode:
		return own((*decoder).fileMode)
	case types.UlimitsConfig:
		return own((*decoder).ulimit)
	case types.External:
		return own((*decoder).external)
	}
	return nil
}

func own[T any](decode func(*decoder, *tree.Value) T) plan {
	return func(d *decoder, v *tree.Value, to reflect.Value) {
		*to.Addr().Interface().(*T) = decode(d, v)
	}
}

// environment is of "NAME: value" or "NAME=value". A name without a value has none, which is not an empty one.
func (d *decoder) environment(v *tree.Value) types.MappingWithEquals {
	out := make(types.MappingWithEquals, v.Len())
	for i := range v.Entries {
		e := &v.Entries[i]
		if out[e.Key] = nil; e.Value.Kind != tree.Null && d.scalar(e.Value, "a string") {
			text := e.Value.Text
			out[e.Key] = &text
		}
	}
	for _, item := range v.Items {
		name, value, ok := strings.Cut(item.Text, "=")
		switch {
		case !d.named(item, name):
		case ok:
			out[name] = &value
		default:
			out[name] = nil
		}
	}
	d.pairsOnly(v)
	return out
}

// named says whether an item of a list is a text that begins with a name.
func (d *decoder) named(item *tree.Value, name string) bool {
	switch {
	case item.Kind == tree.Null:
		return false
	case !d.scalar(item, "a string"):
		return false
	case name != "" && unicode.IsSpace(rune(name[len(name)-1])):
		d.fail(item, "invalid-variable", fmt.Sprintf("the name %q ends with a space", name), "write NAME=value without spaces around =")
		return false
	}
	return true
}

// pairsOnly reports what is neither a mapping nor a list.
func (d *decoder) pairsOnly(v *tree.Value) {
	if v.Kind != tree.Map && v.Kind != tree.List {
		d.want(v, "a mapping or a list")
	}
}

// texts is of "key: value" or "key=value"; no value is an empty one.
func (d *decoder) texts(v *tree.Value) map[string]string {
	out := make(map[string]string, v.Len())
	for i := range v.Entries {
		e := &v.Entries[i]
		if e.Value.Kind == tree.Null || d.scalar(e.Value, "a string") {
			out[e.Key] = e.Value.Text
		}
	}
	for _, item := range v.Items {
		if item.Kind != tree.Null && d.scalar(item, "a string") {
			key, value, _ := strings.Cut(item.Text, "=")
			out[key] = value
		}
	}
	d.pairsOnly(v)
	return out
}

func (d *decoder) labels(v *tree.Value) types.Labels   { return d.texts(v) }
func (d *decoder) mapping(v *tree.Value) types.Mapping { return d.texts(v) }

func (d *decoder) options(v *tree.Value) types.Options {
	if v.Kind != tree.Map {
		d.want(v, "a mapping")
		return nil
	}
	return d.texts(v)
}

// multiOptions may have several values for a key.
func (d *decoder) multiOptions(v *tree.Value) types.MultiOptions {
	if v.Kind != tree.Map {
		d.want(v, "a mapping")
		return nil
	}
	out := make(types.MultiOptions, len(v.Entries))
	for _, e := range v.Entries {
		out[e.Key] = d.strings(e.Value)
	}
	return out
}

// strings is of a list, or of one text.
func (d *decoder) strings(v *tree.Value) []string {
	if v.Scalar() {
		return []string{v.Text}
	}
	if v.Kind != tree.List {
		d.want(v, "a string or a list")
		return nil
	}
	out := make([]string, len(v.Items))
	for i, item := range v.Items {
		if item.Kind == tree.Null || d.scalar(item, "a string") {
			out[i] = item.Text
		}
	}
	return out
}

// hosts is of "name: address", "name: [address, …]", "name=address" or "name:address"; an address may be in brackets.
func (d *decoder) hosts(v *tree.Value) types.HostsList {
	out := make(types.HostsList, v.Len())
	for _, e := range v.Entries {
		d.host(out, e.Value, e.Key, d.strings(e.Value))
	}
	for _, item := range v.Items {
		name, addresses, ok := strings.Cut(item.Text, "=")
		if !ok {
			name, addresses, ok = strings.Cut(item.Text, ":")
		}
		if !ok {
			d.fail(item, "invalid-host", fmt.Sprintf("%q has no address", item.Text), `write "name=address"`)
			continue
		}
		d.host(out, item, name, strings.Split(addresses, ","))
	}
	d.pairsOnly(v)
	return out
}

func (d *decoder) host(out types.HostsList, v *tree.Value, name string, addresses []string) {
	if name == "" || strings.ContainsAny(name, ":=") {
		d.fail(v, "invalid-host", fmt.Sprintf("%q is not the name of a host", name), `write "name=address"`)
		return
	}
	for _, a := range addresses {
		if len(a) > 2 && a[0] == '[' && a[len(a)-1] == ']' {
			a = a[1 : len(a)-1]
		}
		out[name] = append(out[name], a)
	}
}

// ssh keeps the order of the file.
func (d *decoder) ssh(v *tree.Value) types.SSHConfig {
	if v.Kind != tree.Map {
		d.fail(v, "invalid-ssh", `one of the SSH keys has no path`, `write "default" or "id=path"`)
		return nil
	}
	out := make(types.SSHConfig, len(v.Entries))
	for i, e := range v.Entries {
		out[i] = types.SSHKey{ID: e.Key, Path: e.Value.Text}
	}
	return out
}
