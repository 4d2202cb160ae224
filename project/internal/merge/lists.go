package merge

import (
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// lists appends the items of over to those of base.
func (m *merger) lists(base, over *tree.Value, rules *step) *tree.Value {
	out := over.Copy()
	out.Items = slices.Concat(base.Items, over.Items)
	if rules != nil && rules.key != nil {
		out.Items = unique(out.Items, rules.key)
		return out
	}
	identity := fingerprint
	if rules != nil && rules.paths {
		identity = located
	}
	seen := make(map[string]bool, len(out.Items))
	for _, item := range base.Items {
		seen[identity(item)] = true
	}
	out.Items = out.Items[:len(base.Items)]
	for _, item := range over.Items {
		if id := identity(item); !seen[id] {
			seen[id] = true
			out.Items = append(out.Items, item)
		}
	}
	return out
}

// unique keeps one item for each key: the last one, where the first one stood.
func unique(items []*tree.Value, key func(*tree.Value) string) []*tree.Value {
	index := make(map[string]int, len(items))
	out := items[:0:0]
	for _, item := range items {
		k := key(item)
		i, known := index[k]
		switch {
		case !known:
			index[k] = len(out)
			out = append(out, item)
		case out[i] != item:
			out[i] = instead(item, out[i])
		}
	}
	return out
}

// Unique leaves one of those items in a file's lists that are the same thing, in place.
func Unique(root *tree.Value) { table().unique(root) }

func (s *step) unique(v *tree.Value) {
	if s.key != nil && v.Kind == tree.List && len(v.Items) > 1 {
		v.Items = unique(v.Items, s.key)
	}
	for _, e := range v.Entries {
		if next := s.below(e.Key); next != nil {
			next.unique(e.Value)
		}
	}
}

// sequences appends like lists, where one value may stand for a list of it, and a mapping for a list of "key=value".
func sequences(m *merger, base, over *tree.Value, rules *step) *tree.Value {
	if over.Kind == tree.Null {
		return base
	}
	return m.lists(sequence(base), sequence(over), rules)
}

func sequence(v *tree.Value) *tree.Value {
	if v.Kind == tree.List {
		return v
	}
	out := &tree.Value{Kind: tree.List, Place: v.Place, Before: v.Before}
	if v.Scalar() {
		out.Items = []*tree.Value{v}
	}
	for _, e := range v.Entries {
		values := []*tree.Value{e.Value}
		if e.Value.Kind == tree.List {
			values = e.Value.Items
		}
		for _, value := range values {
			item := value.Copy()
			item.Kind, item.Place = tree.String, e.At
			item.Text = e.Key + "=" + value.Text
			if value.Kind == tree.Null {
				item.Text = e.Key
			}
			out.Items = append(out.Items, item)
		}
	}
	return out
}

// fingerprint is the same for values that say the same.
func fingerprint(v *tree.Value) string {
	if v.Kind != tree.Map && v.Kind != tree.List {
		return strconv.Itoa(int(v.Kind)) + strconv.Quote(v.Text)
	}
	parts := make([]string, 0, v.Len())
	for _, e := range v.Entries {
		parts = append(parts, strconv.Quote(e.Key)+":"+fingerprint(e.Value))
	}
	slices.Sort(parts)
	for _, item := range v.Items {
		parts = append(parts, fingerprint(item))
	}
	return strconv.Itoa(int(v.Kind)) + "(" + strings.Join(parts, ",") + ")"
}

// located is the same for values that say the same and mean it in the same directory.
func located(v *tree.Value) string { return dirOf(v) + "\x00" + fingerprint(v) }

func dirOf(v *tree.Value) string {
	if v.Place.File == nil {
		return ""
	}
	return v.Place.File.Dir
}

// whole is the key of an item that is what it says.
func whole(v *tree.Value) string { return v.Text }

// name is the key of "name=value".
func name(v *tree.Value) string {
	name, _, _ := strings.Cut(v.Text, "=")
	return name
}

// target is the key of what is mounted at a path of the container.
func target(v *tree.Value) string {
	if v.Kind != tree.Map {
		return v.Text
	}
	return v.Get("target").Or("")
}

// device is the key of a limit of a block device.
func device(v *tree.Value) string { return v.Get("path").Or("") }

// tmpfs is the key of "path[:options]".
func tmpfs(v *tree.Value) string {
	path, _, _ := strings.Cut(v.Text, ":")
	return path
}

// mounted is the key of a config or secret: where it is mounted. A relative target is one in the directory.
func mounted(dir string) func(*tree.Value) string {
	return func(v *tree.Value) string {
		target := v.Get("target").Or(v.Get("source").Or(v.Text))
		if path.IsAbs(target) {
			return path.Clean(target)
		}
		return path.Join(dir, target)
	}
}

// port is the key of a published port: address, both ports and the protocol.
func port(v *tree.Value) string {
	if v.Kind != tree.Map {
		return v.Text
	}
	parts := []string{v.Get("host_ip").Or("0.0.0.0"), v.Get("published").Or(""), v.Get("target").Or(""), v.Get("protocol").Or("tcp")}
	return strings.Join(parts, " ")
}

// envFile is the key of an env file: which file it is.
func envFile(v *tree.Value) string {
	path := v.Get("path").Or(v.Text)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dirOf(v), path)
}
