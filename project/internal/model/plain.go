package model

import (
	"fmt"
	"strconv"
	"strings"

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
		if n, err := strconv.ParseInt(digits(v.Text), 0, 64); err == nil {
			return int(n)
		}
		if n, err := strconv.ParseUint(digits(v.Text), 0, 64); err == nil {
			return n
		}
	case v.Kind == tree.Float:
		if f, err := parseFloat(v.Text); err == nil {
			return f
		}
	}
	return v.Text
}

// plainText is the text of a scalar as a program sees it: 0x10 is 16 and 1.50 is 1.5, unless they are quoted.
func plainText(v *tree.Value) string {
	switch {
	case v == nil || v.Kind == tree.Null:
		return ""
	case v.Kind == tree.Int && !decimal(v.Text), v.Kind == tree.Float:
		return fmt.Sprint(plain(v))
	}
	return v.Text
}

// decimal says whether a number is written as it is printed.
func decimal(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if len(s) == 0 || s[0] == '0' && len(s) > 1 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// digits is a number without the underscores that YAML allows in it.
func digits(s string) string {
	if strings.IndexByte(s, '_') < 0 {
		return s
	}
	return strings.ReplaceAll(s, "_", "")
}

func parseFloat(s string) (float64, error) {
	switch s {
	case ".nan", ".NaN", ".NAN":
		s = "nan"
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		s = "+inf"
	case "-.inf", "-.Inf", "-.INF":
		s = "-inf"
	}
	return strconv.ParseFloat(digits(s), 64)
}
