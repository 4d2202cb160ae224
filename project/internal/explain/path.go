package explain

import "strings"

// rest is what is left of a path on the way to what it names.
type rest string

// cut takes the key off the beginning of the path, and says whether the path leads there. The empty path leads everywhere. A
// key may have dots, so that there may be several ways to read a path; the walk tries all keys.
func (r rest) cut(key string) (rest, bool) {
	if r == "" {
		return "", true
	}
	path := string(r)
	if inner, after, ok := bracket(path); ok && (inner == key || inner == "*") {
		return rest(strings.TrimPrefix(after, ".")), true
	}
	for _, step := range []string{key, "*"} {
		after, ok := strings.CutPrefix(path, step)
		switch {
		case !ok || step == "":
		case after == "" || after[0] == '[':
			return rest(after), true
		case after[0] == '.':
			return rest(after[1:]), true
		}
	}
	return "", false
}

// bracket takes ["key"], [key] or [0] off the beginning of a path.
func bracket(path string) (inner, after string, ok bool) {
	if !strings.HasPrefix(path, "[") {
		return "", "", false
	}
	if quoted, ok := strings.CutPrefix(path, `["`); ok {
		if inner, after, ok = strings.Cut(quoted, `"]`); ok {
			return inner, after, true
		}
	}
	return strings.Cut(path[1:], "]")
}
