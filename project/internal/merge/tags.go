package merge

import "stackrun.dev/stack/project/internal/tree"

// Clean returns a copy of the value without what "!reset" removed and without the marks of both tags.
func Clean(v *tree.Value) *tree.Value {
	if v == nil {
		return nil
	}
	out := v.Copy()
	out.Reset, out.Replace = false, false
	out.Items = make([]*tree.Value, len(v.Items))
	for i, item := range v.Items {
		out.Items[i] = Clean(item)
	}
	out.Entries = make([]tree.Entry, 0, len(v.Entries))
	for _, e := range v.Entries {
		if !e.Value.Reset {
			e.Value = Clean(e.Value)
			out.Entries = append(out.Entries, e)
		}
	}
	return out
}
