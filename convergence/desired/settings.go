package desired

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/go-connections/nat"
)

// hashVersion begins every hash. It changes when the same wish is written in other settings; then settings are compared
// instead of hashes, so that an upgrade of this program alone recreates nothing.
const hashVersion = "1"

// Settings are everything that makes one container, network or volume different from another, as sorted lines
// "name=value": the fields of the engine's types that are set, flattened. Lists whose order means nothing (environment,
// ports, mounts) are named by their own keys, so that a difference can be named.
type Settings []Setting

// Setting is one line of Settings.
type Setting struct{ Name, Value string }

// Hash identifies the settings.
func (s Settings) Hash() string {
	h := sha256.New()
	for _, line := range s {
		io.WriteString(h, line.Name+"="+line.Value+"\n") //nolint:errcheck // a hash does not fail
	}
	return hashVersion + ":" + hex.EncodeToString(h.Sum(nil))
}

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.BestSpeed) // fails for unknown levels only
	return w
}}

// Pack writes the settings as a short text that fits a label.
func (s Settings) Pack() string {
	var buf bytes.Buffer
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&buf)
	for _, line := range s {
		io.WriteString(w, line.Name+"="+strconv.Quote(line.Value)+"\n") //nolint:errcheck // a buffer does not fail
	}
	w.Close() //nolint:errcheck // as above
	return base64.StdEncoding.EncodeToString(buf.Bytes())
}

// maxPacked bounds what Unpack inflates: labels come from outside.
const maxPacked = 1 << 20

// Unpack reads what Pack wrote. ok is false for anything else.
func Unpack(text string) (s Settings, ok bool) {
	packed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || text == "" {
		return nil, false
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxPacked))
	if err != nil {
		return nil, false
	}
	for line := range strings.Lines(string(plain)) {
		i := strings.Index(line, `="`)
		if i < 0 {
			return nil, false
		}
		value, err := strconv.Unquote(strings.TrimSuffix(line[i+1:], "\n"))
		if err != nil {
			return nil, false
		}
		s = append(s, Setting{line[:i], value})
	}
	return s, true
}

// Change is a setting that two Settings do not share. Was or Is may be missing.
type Change struct {
	Name     string
	Was, Is  string
	Had, Has bool
}

// Changes compares: what differs, sorted by name.
func Changes(was, is Settings) []Change {
	var out []Change
	i, j := 0, 0
	for i < len(was) || j < len(is) {
		switch {
		case j == len(is) || i < len(was) && was[i].Name < is[j].Name:
			out = append(out, Change{Name: was[i].Name, Was: was[i].Value, Had: true})
			i++
		case i == len(was) || was[i].Name > is[j].Name:
			out = append(out, Change{Name: is[j].Name, Is: is[j].Value, Has: true})
			j++
		default:
			if was[i].Value != is[j].Value {
				out = append(out, Change{was[i].Name, was[i].Value, is[j].Value, true, true})
			}
			i++
			j++
		}
	}
	return out
}

// flatteners are functions for fields that are not flattened as their type says, by the field's name.
type flatteners map[string]func(f *flattener, name string, v reflect.Value)

// flattener collects settings.
type flattener struct{ out Settings }

func (f *flattener) add(name, value string) { f.out = append(f.out, Setting{name, value}) }

func (f *flattener) sorted() Settings {
	sort.SliceStable(f.out, func(i, j int) bool { return f.out[i].Name < f.out[j].Name })
	return slices.CompactFunc(f.out, func(a, b Setting) bool { return a == b })
}

// structOf adds every field of v that is set; fields for which special has a function are left to it.
func (f *flattener) structOf(prefix string, v reflect.Value, special flatteners) {
	t := v.Type()
	for i := range t.NumField() {
		field := t.Field(i)
		if !field.IsExported() {
			continue
		}
		if field.Anonymous {
			f.structOf(prefix, v.Field(i), special)
			continue
		}
		name := prefix + field.Name
		if own, ok := special[field.Name]; ok {
			own(f, name, v.Field(i))
			continue
		}
		f.value(name, v.Field(i), special)
	}
}

func (f *flattener) value(name string, v reflect.Value, special flatteners) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return
		}
		if v.Elem().Kind() == reflect.Struct {
			f.value(name, v.Elem(), special)
			return
		}
		f.add(name, scalar(v.Elem())) // set, even if to zero
	case reflect.Struct:
		f.structOf(name+".", v, special)
	case reflect.Map:
		for _, key := range v.MapKeys() {
			f.entry(name+"."+key.String(), v.MapIndex(key), special)
		}
	case reflect.Slice, reflect.Array:
		f.list(name, v, special)
	default:
		if !v.IsZero() {
			f.add(name, scalar(v))
		}
	}
}

// entry is the value of a map: there, even if it is the zero value.
func (f *flattener) entry(name string, v reflect.Value, special flatteners) {
	before := len(f.out)
	f.value(name, v, special)
	if len(f.out) == before {
		f.add(name, "")
	}
}

func (f *flattener) list(name string, v reflect.Value, special flatteners) {
	if v.Kind() == reflect.Array && v.IsZero() {
		return
	}
	if v.Len() == 0 {
		if v.Kind() == reflect.Slice && !v.IsNil() && clears[name] {
			f.add(name, "[]")
		}
		return
	}
	if v.Type().Elem().Kind() == reflect.String {
		f.add(name, words(v))
		return
	}
	for i := range v.Len() {
		f.entry(fmt.Sprintf("%s.%d", name, i), v.Index(i), special)
	}
}

// clears are the lists for which empty means something else than not set.
var clears = map[string]bool{"Cmd": true, "Entrypoint": true}

func words(v reflect.Value) string {
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = v.Index(i).String()
		if strings.ContainsAny(parts[i], " \"'\n") || parts[i] == "" {
			parts[i] = strconv.Quote(parts[i])
		}
	}
	return strings.Join(parts, " ")
}

func scalar(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	}
	return fmt.Sprint(v.Interface())
}

// containerSpecial are the fields of a container's configuration that are flattened in their own way.
var containerSpecial = flatteners{
	"Image":  func(*flattener, string, reflect.Value) {}, // compared by its ID
	"Labels": userLabels,
	"Env": func(f *flattener, name string, v reflect.Value) {
		for i := range v.Len() {
			key, value, set := strings.Cut(v.Index(i).String(), "=")
			if set {
				f.add(name+"."+key, fingerprint(value))
			} else {
				f.add(name+"."+key+" (unset)", "")
			}
		}
	},
	"PortBindings": func(f *flattener, _ string, v reflect.Value) {
		for port, bindings := range v.Interface().(nat.PortMap) {
			for _, b := range bindings {
				f.add("Ports."+joinNonEmpty(":", b.HostIP, b.HostPort, string(port)), "")
			}
		}
	},
	"Mounts": func(f *flattener, _ string, v reflect.Value) {
		for _, m := range v.Interface().([]mount.Mount) {
			f.add("Mounts."+m.Target, describeMount(m))
		}
	},
	"Binds": func(f *flattener, _ string, v reflect.Value) {
		for _, bind := range v.Interface().([]string) {
			source, rest, _ := strings.Cut(bind, ":")
			target, mode, _ := strings.Cut(rest, ":")
			f.add("Mounts."+target, joinNonEmpty(" ", source, mode))
		}
	},
}

// fingerprint stands for a value that may be a secret: labels are shown in more places than environments are.
func fingerprint(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:8])
}

// describeMount is the mount in one line: what is mounted, then its options.
func describeMount(m mount.Mount) string {
	line := joinNonEmpty(" ", string(m.Type), m.Source)
	m.Type, m.Source, m.Target = "", "", ""
	var f flattener
	f.structOf("", reflect.ValueOf(m), nil)
	for _, option := range f.sorted() {
		line += " " + option.Name + "=" + option.Value
	}
	return line
}

func userLabels(f *flattener, name string, v reflect.Value) {
	for key, value := range v.Interface().(map[string]string) {
		if !ownLabel(key) {
			f.add(name+"."+key, value)
		}
	}
}

func containerSettings(c *Container) Settings {
	var f flattener
	f.structOf("", reflect.ValueOf(*c.Config.Config), containerSpecial)
	f.structOf("", reflect.ValueOf(*c.Config.Host), containerSpecial)
	if c.Config.Networking != nil {
		f.endpoints(c.Config.Networking.EndpointsConfig)
	}
	if c.Config.Platform != nil {
		f.value("Platform", reflect.ValueOf(*c.Config.Platform), nil)
	}
	for _, file := range c.Files {
		if file.Volatile {
			file.Content = nil
		}
		f.add("Files."+file.Path, fmt.Sprintf("%x %d:%d %o", sha256.Sum256(file.Content), file.UID, file.GID, file.Mode))
	}
	return f.sorted()
}

func (f *flattener) endpoints(endpoints map[string]*network.EndpointSettings) {
	for name, e := range endpoints {
		f.entry("Networks."+name, reflect.ValueOf(*e), nil)
	}
}

func networkSettings(o network.CreateOptions) Settings {
	var f flattener
	f.structOf("", reflect.ValueOf(o), flatteners{"Labels": userLabels})
	return f.sorted()
}

func volumeSettings(o volume.CreateOptions) Settings {
	var f flattener
	f.structOf("", reflect.ValueOf(o), flatteners{"Labels": userLabels})
	return f.sorted()
}

func joinNonEmpty(sep string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), sep)
}
