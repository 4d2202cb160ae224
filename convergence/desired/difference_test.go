package desired

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"time"

	"stackrun.dev/stack/engine"
)

// lines is a value as sorted "path: value", one line for each that is set. Paths are made of the names that the Engine API
// uses.
type lines struct {
	out []string
}

func (l *lines) add(path string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		text = []byte(err.Error())
	}
	l.out = append(l.out, path+": "+string(text))
}

// linesOf leaves out what says nothing by itself: hashes, and the settings they are made of.
func linesOf(v any) []string {
	var l lines
	l.value("", reflect.ValueOf(v))
	slices.Sort(l.out)
	return l.out
}

var derived = map[string]bool{
	"Hash": true, "Settings": true, "ComposeHash": true, "References": true,
	"Labels." + LabelHash: true, "Labels." + LabelConfig: true, "Labels." + LabelConfigHash: true,
}

func (l *lines) value(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		if k := v.Elem().Kind(); k == reflect.Struct || k == reflect.Map || k == reflect.Slice || v.Kind() == reflect.Interface {
			l.value(path, v.Elem())
			return
		}
		l.add(path, v.Elem().Interface()) // set, if only to zero
	case reflect.Struct:
		l.fields(path, v)
	case reflect.Map:
		for _, key := range v.MapKeys() {
			l.entry(join(path, key.String()), v.MapIndex(key))
		}
	case reflect.Slice:
		l.list(path, v)
	default:
		l.scalar(path, v)
	}
}

func (l *lines) fields(path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported() || derived[f.Name]:
		case f.Anonymous || f.Type == reflect.TypeFor[engine.CreateConfig]():
			l.fields(path, v.Field(i))
		case name == "" || name == "-":
			l.value(join(path, f.Name), v.Field(i))
		default:
			l.value(join(path, name), v.Field(i))
		}
	}
}

// entry is the value of a map: there, even if it is zero.
func (l *lines) entry(path string, v reflect.Value) {
	before := len(l.out)
	if slices.ContainsFunc(sortedKeys(derived), func(d string) bool { return strings.HasSuffix(path, d) }) {
		return
	}
	if l.value(path, v); len(l.out) == before && (v.Kind() != reflect.Pointer || v.IsNil()) {
		l.add(path, zeroOf(v))
	}
}

func zeroOf(v reflect.Value) any {
	if v.Kind() == reflect.Struct || !v.IsValid() {
		return struct{}{}
	}
	return v.Interface()
}

func (l *lines) list(path string, v reflect.Value) {
	if text, ok := v.Interface().([]byte); ok && v.Len() > 0 {
		l.add(path, string(text))
		return
	}
	elem := v.Type().Elem()
	for elem.Kind() == reflect.Pointer {
		elem = elem.Elem()
	}
	ofMappings := v.Len() > 0 && elem.Kind() == reflect.Interface && v.Index(0).Elem().Kind() == reflect.Map
	if elem.Kind() != reflect.Struct && !ofMappings {
		if v.Len() > 0 || !v.IsNil() && clears[path[strings.LastIndexByte(path, '.')+1:]] {
			l.add(path, v.Interface())
		}
		return
	}
	for i := range v.Len() {
		l.entry(join(path, nameIn(v.Index(i), i)), v.Index(i))
	}
}

// nameIn is the name of a list's element: its key, if it has one, so that one more at the front changes nothing else.
func nameIn(v reflect.Value, i int) string {
	switch e := v.Interface().(type) {
	case Service:
		return e.Name
	case Container:
		return fmt.Sprint(e.Number)
	case Network:
		return e.Key
	case Volume:
		return e.Key
	}
	return fmt.Sprint(i)
}

func (l *lines) scalar(path string, v reflect.Value) {
	if !v.IsValid() || v.IsZero() {
		return
	}
	switch e := v.Interface().(type) {
	case fs.FileMode:
		l.add(path, fmt.Sprintf("%#o", e))
	case time.Duration:
		l.add(path, e.String())
	case int64:
		if strings.HasSuffix(path, "Mode") {
			l.add(path, fmt.Sprintf("%#o", e))
			return
		}
		l.add(path, e)
	default:
		l.add(path, e)
	}
}

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "." + step
}

// difference has the lines of one only: "- " before those of was, "+ " before those of is, sorted by path.
func difference(was, is []string) []string {
	var out []string
	for i, j := 0, 0; i < len(was) || j < len(is); {
		switch {
		case j == len(is) || i < len(was) && was[i] < is[j]:
			out = append(out, "- "+was[i])
			i++
		case i == len(was) || was[i] > is[j]:
			out = append(out, "+ "+is[j])
			j++
		default:
			i, j = i+1, j+1
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Or(strings.Compare(pathOf(a), pathOf(b)), strings.Compare(b[:1], a[:1]))
	})
	return out
}

func pathOf(line string) string {
	path, _, _ := strings.Cut(line[2:], ": ")
	return path
}
