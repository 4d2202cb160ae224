package model

import (
	"path"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
)

// build is the long form of a build, which may be only a context.
func build(v *tree.Value) *tree.Value {
	return apply(keyed("context")(v), buildForms)
}

// dependencies is the long form of depends_on, with the defaults of each.
func dependencies(v *tree.Value) *tree.Value {
	v = names(v)
	if v.Kind != tree.Map {
		return v
	}
	for i := range v.Entries {
		d := v.Entries[i].Value
		if d.Kind == tree.Null {
			d = instead(d, tree.Map)
			d.Entries = make([]tree.Entry, 0, 2)
			v.Entries[i].Value = d
		}
		byDefault(d, "condition", tree.String, types.ServiceConditionStarted)
		byDefault(d, "required", tree.Bool, "true")
	}
	return v
}

// byDefault gives a mapping a key that it does not have. It counts as written where the mapping is.
func byDefault(m *tree.Value, key string, kind tree.Kind, text string) {
	if m.Kind == tree.Map && m.Entry(key) == nil {
		m.Set(key, m.Place, &tree.Value{Kind: kind, Text: text, Place: m.Place})
	}
}

func envFile(v *tree.Value) *tree.Value {
	v = keyed("path")(v)
	byDefault(v, "required", tree.Bool, "true")
	return v
}

// dns is a list without what is empty, such as a variable that is not set.
func dns(v *tree.Value) *tree.Value {
	v = list(v)
	if v.Kind != tree.List {
		return v
	}
	kept := v.Items[:0:0]
	for _, item := range v.Items {
		if item.Kind != tree.Null && (item.Kind != tree.String || item.Text != "") {
			kept = append(kept, item)
		}
	}
	if len(kept) < len(v.Items) {
		v.Items = kept
	}
	return v
}

// gpus is the long form of "all", the only text that it may be.
func gpus(v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	request := tree.NewMap(v.Place)
	add(request, "count", piece(v, tree.String, "all"))
	out := instead(v, tree.List)
	out.Items = []*tree.Value{request}
	return out
}

var watchForms = map[string]form{"ignore": list, "include": list}

func develop(v *tree.Value) *tree.Value {
	items(func(trigger *tree.Value) *tree.Value {
		adopt(trigger, "x-initialSync", "initial_sync")
		return apply(trigger, watchForms)
	})(v.Get("watch"))
	return v
}

func triggers(v *tree.Value) *tree.Value {
	items(keyed("cron"))(v.Get("schedule"))
	return v
}

// device is the long form of "source[:target[:permissions]]".
func device(v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	parts := strings.Split(v.Text, ":")
	if len(parts) > 3 {
		return v
	}
	source, target, permissions := parts[0], "", "rwm"
	if len(parts) > 1 {
		target = parts[1]
	}
	if len(parts) > 2 {
		permissions = parts[2]
	}
	if target == "" {
		target = source
	}
	out := instead(v, tree.Map)
	out.Entries = make([]tree.Entry, 0, 3)
	add(out, "source", piece(v, tree.String, source))
	add(out, "target", piece(v, tree.String, target))
	add(out, "permissions", piece(v, tree.String, permissions))
	return out
}

// ports is a list in which each item is one mapping; a range in the short form makes several.
func ports(v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	var out []*tree.Value
	for i, item := range v.Items {
		long := port(item)
		if out == nil && len(long) == 1 && long[0] == item {
			continue
		}
		if out == nil {
			out = append(make([]*tree.Value, 0, len(v.Items)), v.Items[:i]...)
		}
		out = append(out, long...)
	}
	if out != nil {
		v.Items = out
	}
	return v
}

// port is the long form of one item of ports, or the item.
func port(v *tree.Value) []*tree.Value {
	if !v.Scalar() {
		return []*tree.Value{v}
	}
	configs, err := types.ParsePortConfig(plainText(v))
	if err != nil {
		return []*tree.Value{v}
	}
	out := make([]*tree.Value, len(configs))
	for i, c := range configs {
		m := instead(v, tree.Map)
		m.Entries = make([]tree.Entry, 0, 5)
		add(m, "mode", piece(v, tree.String, c.Mode))
		addText(m, v, "host_ip", c.HostIP)
		add(m, "target", piece(v, tree.Int, strconv.FormatUint(uint64(c.Target), 10)))
		addText(m, v, "published", c.Published)
		add(m, "protocol", piece(v, tree.String, c.Protocol))
		out[i] = m
	}
	return out
}

// addText adds a text that is a part of another value, unless it is empty.
func addText(m, of *tree.Value, key, text string) {
	if text != "" {
		add(m, key, piece(of, tree.String, text))
	}
}

// volume is the long form of "[source:]target[:options]".
func volume(v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	c, err := parseVolume(v.Text)
	if err != nil {
		return v
	}
	out := instead(v, tree.Map)
	out.Entries = make([]tree.Entry, 0, 4)
	add(out, "type", piece(v, tree.String, c.Type))
	addText(out, v, "source", c.Source)
	if c.Target != "" {
		add(out, "target", piece(v, tree.String, path.Clean(c.Target)))
	}
	if c.ReadOnly {
		add(out, "read_only", piece(v, tree.Bool, "true"))
	}
	if c.Bind != nil {
		add(out, "bind", bind(v, c.Bind))
	}
	if c.Volume != nil {
		options := tree.NewMap(v.Place)
		if c.Volume.NoCopy {
			add(options, "nocopy", piece(v, tree.Bool, "true"))
		}
		add(out, "volume", options)
	}
	return out
}

func bind(v *tree.Value, b *types.ServiceVolumeBind) *tree.Value {
	out := tree.NewMap(v.Place)
	addText(out, v, "selinux", b.SELinux)
	addText(out, v, "propagation", b.Propagation)
	if b.CreateHostPath {
		add(out, "create_host_path", piece(v, tree.Bool, "true"))
	}
	return out
}

// parseVolume reads the short form. A name of one letter is one: compose-go takes "v:/x" for a path on a Windows drive.
func parseVolume(spec string) (types.ServiceVolumeConfig, error) {
	if !oneLetterName(spec) {
		return format.ParseVolume(spec)
	}
	c, err := format.ParseVolume("volume" + spec[1:])
	c.Source = spec[:1]
	return c, err
}

// oneLetterName says whether the text is "x:/path[:options]" and not "x:/path:/path".
func oneLetterName(spec string) bool {
	if len(spec) < 3 || spec[1] != ':' || spec[2] != '/' || strings.IndexByte("./~", spec[0]) >= 0 {
		return false
	}
	_, rest, _ := strings.Cut(spec[2:], ":")
	return !strings.HasPrefix(rest, "/")
}
