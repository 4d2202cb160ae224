package merge

import (
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
)

// replace takes the place of what was there, also with nothing.
func replace(_ *merger, base, over *tree.Value, _ *step) *tree.Value { return instead(over, base) }

// keyValues merges mappings that may be written as lists of "key=value". The result is a mapping. A key without a value is
// one too: its value comes from the environment.
func keyValues(m *merger, base, over *tree.Value, _ *step) *tree.Value {
	if over.Kind == tree.Null {
		return base
	}
	out, over := copyOf(pairs(base)), pairs(over)
	if over.Kind != tree.Map || out.Kind != tree.Map {
		return m.plain(base, over, nil)
	}
	out.Place = over.Place
	for _, e := range over.Entries {
		value := e.Value
		if was := out.Get(e.Key); was != nil && !value.Reset {
			value = instead(value, was)
		}
		out.Set(e.Key, e.At, value)
	}
	return out
}

// pairs is a list of "key=value" as a mapping. Other values stay; nothing is an empty mapping.
func pairs(v *tree.Value) *tree.Value {
	switch v.Kind {
	case tree.Null:
		return tree.NewMap(v.Place)
	case tree.List:
	default:
		return v
	}
	out := tree.NewMap(v.Place)
	out.Before = v.Before
	for _, item := range v.Items {
		key, text, ok := strings.Cut(item.Text, "=")
		value := item.Copy()
		value.Kind, value.Text = tree.String, text
		if !ok {
			value.Kind = tree.Null
		}
		if raw, rest, _ := strings.Cut(item.Raw, "="); raw == key {
			value.Raw = rest
		}
		out.Set(key, item.Place, value)
	}
	return out
}

// limits are a number or a mapping of two.
func limits(m *merger, base, over *tree.Value, rules *step) *tree.Value {
	switch {
	case over.Kind == tree.Null:
		return base
	case base.Kind == tree.Map && over.Kind == tree.Map:
		return m.maps(base, over, rules)
	}
	return instead(over, base)
}

// logging keeps the options only for the same driver.
func logging(m *merger, base, over *tree.Value, rules *step) *tree.Value {
	was, is := base.Get("driver"), over.Get("driver")
	if over.Kind == tree.Map && was != nil && is != nil && !tree.Equal(was, is) {
		return instead(over, base)
	}
	return m.plain(base, over, rules)
}

// dependencies merges depends_on. The long form has defaults; those that nobody wrote leave what base says.
func dependencies(m *merger, base, over *tree.Value, rules *step) *tree.Value {
	if over.Kind != tree.Map {
		return m.plain(base, over, rules)
	}
	written := copyOf(over)
	for i, e := range written.Entries {
		if base.Get(e.Key) != nil && e.At != e.Value.Place {
			written.Entries[i].Value = withoutDefaults(e.Value)
		}
	}
	return m.plain(base, written, rules)
}

// withoutDefaults leaves out what stands where its mapping begins, which no text of a file can.
func withoutDefaults(v *tree.Value) *tree.Value {
	out := v.Copy()
	out.Entries = slices.DeleteFunc(slices.Clone(v.Entries), func(e tree.Entry) bool { return e.At == v.Place && e.Value.Place == v.Place })
	return out
}

// pools are the address ranges of a network. Those of the later file count; each is completed with what was said before
// about the same subnet.
func pools(m *merger, base, over *tree.Value, rules *step) *tree.Value {
	if base.Kind != tree.List || over.Kind != tree.List {
		return m.plain(base, over, rules)
	}
	out := over.Copy()
	out.Before = base
	out.Items = make([]*tree.Value, len(over.Items))
	for i, pool := range over.Items {
		out.Items[i] = pool
		for _, was := range base.Items {
			if was.Kind == tree.Map && pool.Kind == tree.Map && tree.Equal(was.Get("subnet"), pool.Get("subnet")) {
				out.Items[i] = m.maps(was, pool, nil)
			}
		}
	}
	return out
}
