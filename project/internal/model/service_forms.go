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
func build(m *maker, v *tree.Value) *tree.Value {
	return m.apply(keyed("context")(m, v), buildForms)
}

// dependencies is the long form of depends_on, with the defaults of each.
func dependencies(m *maker, v *tree.Value) *tree.Value {
	v = names(m, v)
	if v.Kind != tree.Map {
		return v
	}
	for i := range v.Entries {
		d := v.Entries[i].Value
		if d.Kind == tree.Null {
			d = m.instead(d, tree.Map, 2)
			v.Entries[i].Value = d
		}
		m.byDefault(d, "condition", tree.String, types.ServiceConditionStarted)
		m.byDefault(d, "required", tree.Bool, "true")
	}
	return v
}

// byDefault gives a mapping a key that it does not have. It counts as written where the mapping is.
func (m *maker) byDefault(v *tree.Value, key string, kind tree.Kind, text string) {
	if v.Kind == tree.Map && v.Entry(key) == nil {
		v.Set(key, v.Place, m.value(v, kind, text))
	}
}

func envFile(m *maker, v *tree.Value) *tree.Value {
	v = keyed("path")(m, v)
	m.byDefault(v, "required", tree.Bool, "true")
	return v
}

// dns is a list without what is empty, such as a variable that is not set.
func dns(m *maker, v *tree.Value) *tree.Value {
	v = list(m, v)
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
func gpus(m *maker, v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	request := m.value(v, tree.Map, "")
	add(request, "count", m.piece(v, tree.String, "all"))
	out := m.instead(v, tree.List, 0)
	out.Items = []*tree.Value{request}
	return out
}

var watchForms = map[string]form{"ignore": list, "include": list}

func develop(m *maker, v *tree.Value) *tree.Value {
	items(func(m *maker, trigger *tree.Value) *tree.Value {
		adopt(trigger, "x-initialSync", "initial_sync")
		return m.apply(trigger, watchForms)
	})(m, v.Get("watch"))
	return v
}

func triggers(m *maker, v *tree.Value) *tree.Value {
	items(keyed("cron"))(m, v.Get("schedule"))
	return v
}

// device is the long form of "source[:target[:permissions]]".
func device(m *maker, v *tree.Value) *tree.Value {
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
	out := m.instead(v, tree.Map, 3)
	add(out, "source", m.piece(v, tree.String, source))
	add(out, "target", m.piece(v, tree.String, target))
	add(out, "permissions", m.piece(v, tree.String, permissions))
	return out
}

// ports is a list in which each item is one mapping; a range in the short form makes several.
func ports(m *maker, v *tree.Value) *tree.Value {
	if v.Kind != tree.List {
		return v
	}
	var out []*tree.Value
	for i, item := range v.Items {
		long := port(m, item)
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
func port(m *maker, v *tree.Value) []*tree.Value {
	if !v.Scalar() {
		return []*tree.Value{v}
	}
	configs, err := parsePort(v.Text)
	if err != nil {
		return []*tree.Value{v}
	}
	out := make([]*tree.Value, len(configs))
	for i, c := range configs {
		p := m.instead(v, tree.Map, 5)
		add(p, "mode", m.piece(v, tree.String, c.Mode))
		m.addText(p, v, "host_ip", c.HostIP)
		add(p, "target", m.piece(v, tree.Int, strconv.FormatUint(uint64(c.Target), 10)))
		m.addText(p, v, "published", c.Published)
		add(p, "protocol", m.piece(v, tree.String, c.Protocol))
		out[i] = p
	}
	return out
}

// parsePort reads the short form. Nearly all are "port" or "port:port", for which compose-go's reader takes ten times as long.
func parsePort(spec string) ([]types.ServicePortConfig, error) {
	published, target, ok := strings.Cut(spec, ":")
	if !ok {
		published, target = "", spec
	}
	n, plain := plainPort(target)
	if plain && ok {
		_, plain = plainPort(published)
	}
	if !plain {
		return types.ParsePortConfig(bracketed(spec))
	}
	return []types.ServicePortConfig{{Mode: "ingress", Target: n, Published: published, Protocol: "tcp"}}, nil
}

// bracketed puts the brackets around an IPv6 address that the specification lets one leave out and compose-go wants.
func bracketed(spec string) string {
	address, ports := spec, ""
	for range 2 {
		i := strings.LastIndexByte(address, ':')
		if i < 0 {
			return spec
		}
		address, ports = address[:i], address[i:]+ports
	}
	if !strings.Contains(address, ":") || address[0] == '[' {
		return spec
	}
	return "[" + address + "]" + ports
}

// plainPort is the number of a port that is written as a number is printed.
func plainPort(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint32(n), err == nil && s[0] != '0'
}

// volume is the long form of "[source:]target[:options]".
func volume(m *maker, v *tree.Value) *tree.Value {
	if !v.Scalar() {
		return v
	}
	c, err := parseVolume(v.Text)
	if err != nil {
		return v
	}
	out := m.instead(v, tree.Map, 5)
	add(out, "type", m.piece(v, tree.String, c.Type))
	m.addText(out, v, "source", c.Source)
	if c.Target != "" {
		add(out, "target", m.piece(v, tree.String, path.Clean(c.Target)))
	}
	if c.ReadOnly {
		add(out, "read_only", m.piece(v, tree.Bool, "true"))
	}
	if c.Bind != nil {
		add(out, "bind", bind(m, v, c.Bind))
	}
	if c.Volume != nil {
		options := m.value(v, tree.Map, "")
		if c.Volume.NoCopy {
			add(options, "nocopy", m.piece(v, tree.Bool, "true"))
		}
		add(out, "volume", options)
	}
	return out
}

func bind(m *maker, v *tree.Value, b *types.ServiceVolumeBind) *tree.Value {
	out := m.value(v, tree.Map, "")
	m.addText(out, v, "selinux", b.SELinux)
	m.addText(out, v, "propagation", b.Propagation)
	if b.CreateHostPath {
		add(out, "create_host_path", m.piece(v, tree.Bool, "true"))
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
