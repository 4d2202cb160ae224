package project

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stackrun.dev/stack/project/internal/schema"
)

// odd are values that few attributes take.
var odd = []string{
	`""`, `"x y"`, `"-1"`, `"::"`, `"a:b:c:d"`, `"/"`, `"="`, `"1e9999"`, `"99999999999999999999"`, `"\u00e9\x01"`, `"service:"`, `"${"`, `"$$"`,
	`0`, `-1`, `1.5`, `1e400`, `99999999999999999999`, `.nan`, `true`, `~`, `2020-01-01`, `[]`, `{}`, `[~]`, `[x, x]`, `{x: ~}`, `[{}]`, `!!binary aGk=`, `!odd x`,
}

// foreign are words of the packages underneath, which no message has.
var foreign = regexp.MustCompile(`mapstructure|strconv|decoding failed|invalid syntax|time: |json|yaml:|unmarshal|%!|&\{|map\[|interface conversion|parsing "|Errorf|\*types\.`)

// TestOddValues gives each attribute of the specification each odd value. Whatever comes of it, there is no panic, and each
// mistake says where it is, what kind it is, and in words of ours what is wrong.
func TestOddValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "compose.yaml")
	seen := make(map[string]bool)
	each(schema.Root(), nil, func(path []string) {
		for _, value := range odd {
			text := fileWith(path, value)
			writeInput(t, file, text)
			_, _, err := Load(t.Context(), Options{Files: []string{file}, ProjectName: "x"})
			if err == nil {
				continue
			}
			mistakes, ok := err.(Errors) //nolint:errorlint // Load returns it as it is
			if !ok {
				t.Errorf("%v is a %T of\n%s", err, err, text)
			}
			for _, m := range mistakes {
				kind := m.Rule + strings.Join(path, ".")
				if m.Line > 0 && m.Rule != "" && !foreign.MatchString(m.Problem+m.Fix) || seen[kind] {
					continue
				}
				seen[kind] = true
				t.Errorf("rule %q: %v\nof\n%s", m.Rule, m, text)
			}
		}
	})
}

// each calls do with the path of each attribute, "[]" for items and "n" for names.
func each(r *schema.Rule, path []string, do func([]string)) {
	if len(path) > 0 {
		do(path)
	}
	if len(path) == 2 && path[0] == "jobs" || len(path) > 3 && path[2] == "pre_start" {
		return // they have a service's attributes
	}
	if r.Items != nil {
		each(r.Items, append(path[:len(path):len(path)], "[]"), do)
	}
	if r.Named != nil {
		name := "n"
		if len(path) > 0 && path[len(path)-1] == "ulimits" {
			name = "nofile"
		}
		each(r.Named, append(path[:len(path):len(path)], name), do)
	}
	for _, key := range r.FixedKeys() {
		each(r.Fixed(key), append(path[:len(path):len(path)], key), do)
	}
}

// fileWith is a Compose file with the value at the path, in a service that has an image.
func fileWith(path []string, value string) string {
	for i := len(path) - 1; i >= 0; i-- {
		switch {
		case path[i] == "[]":
			value = "[" + value + "]"
		case i == 2 && path[0] == "services" && path[2] != "image" && path[2] != "extends":
			value = fmt.Sprintf("{image: i, %s: %s}", path[i], value)
		default:
			value = fmt.Sprintf("{%s: %s}", path[i], value)
		}
	}
	if path[0] != "services" {
		value = strings.TrimSuffix(value, "}") + ", services: {s: {image: i}}}"
	}
	return value + "\n"
}
