package model

import (
	"strconv"

	"stackrun.dev/stack/project/internal/tree"
)

// Plain is the value as what the encoding packages work with: nil, string, bool, int, float64, []any and map[string]any.
func Plain(v *tree.Value) any { return plain(v) }

// plain is the value as what the encoding packages work with: nil, string, bool, int, float64, []any and map[string]any.
func plain(v *tree.Value) any {
	switch {
	case v == nil || v.Kind == tree.Null:
		return nil
	case v.Kind == tree.List:
		out := make([]any, len(v.Items))
		for i, item := range v.Items {
			out[i] = plain(item)
		}
		return out
	case v.Kind == tree.Map:
		out := make(map[string]any, len(v.Entries))
		for _, e := range v.Entries {
			out[e.Key] = plain(e.Value)
		}
		return out
	case v.Kind == tree.Bool:
		return v.Text == "true"
	case v.Kind == tree.Int:
		if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return int(n)
		}
		if n, err := strconv.ParseUint(v.Text, 10, 64); err == nil {
			return n
		}
	case v.Kind == tree.Float:
		if f, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return f
		}
	}
	return v.Text
}
