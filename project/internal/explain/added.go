package explain

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// reasons say why the program added a value; the first pattern that fits counts. "*" is any step, and a pattern is about what
// is below it too.
var reasons = []struct{ pattern, reason string }{
	{"name", "the project's name, which the files do not say"},
	{"networks.default", "the network of services that name none"},
	{"networks.*.name", "made of the project's name and the key"},
	{"volumes.*.name", "made of the project's name and the key"},
	{"configs.*.name", "made of the project's name and the key"},
	{"secrets.*.name", "made of the project's name and the key"},
	{"services.*.networks.default", "services that name no network are in the default one"},
	{"services.*.depends_on", "follows from links, volumes_from or shared namespaces"},
	{"services.*.build.context", "the default"},
	{"services.*.build.dockerfile", "the default"},
	{"", "set by default"},
}

// added says of a value that is only in the model where it comes from.
func (w *walker) added(n node) (*Source, string) {
	if s := w.fromFile(n, "environment", "env_file"); s != nil {
		return s, "read from an env_file"
	}
	if s := w.fromFile(n, "labels", "label_file"); s != nil {
		return s, "read from a label_file"
	}
	for _, r := range reasons {
		if fits(r.pattern, n.path) {
			return nil, r.reason
		}
	}
	return nil, ""
}

// fits says whether the path is what the pattern names, or below it.
func fits(pattern string, path []string) bool {
	left := rest(pattern)
	for _, step := range path {
		if left == "" {
			return true
		}
		var ok bool
		if left, ok = left.cut(step); !ok {
			return false
		}
	}
	return left == ""
}

// fromEnvironment tells which variable stands for a name without a value, in environment and build.args.
func (w *walker) fromEnvironment(e *Explanation, n node) {
	last := len(n.path) - 1
	if n.v.Kind != tree.Null || n.model == nil || last < 1 || w.env == nil {
		return
	}
	if under := n.path[last-1]; under != "environment" && under != "args" {
		return
	}
	if v, ok := w.env(n.path[last]); ok {
		e.Source.Variables = append(e.Source.Variables, Filling{n.path[last], v.Value, true, v.Origin})
	}
}

// fromFile finds the line of an env file or label file that sets the attribute's value.
func (w *walker) fromFile(n node, attribute, files string) *Source {
	if len(n.path) != 4 || n.path[2] != attribute || n.service == nil {
		return nil
	}
	list := n.service.Get(files)
	if list == nil {
		return nil
	}
	if w.files == nil {
		w.files = make(map[*tree.Value]map[string]*Source)
	}
	if _, done := w.files[list]; !done {
		w.files[list] = w.readFiles(list)
	}
	return w.files[list][n.path[3]]
}

// readFiles reads the files of the list again, now for their lines. What cannot be read was reported when the project was
// loaded.
func (w *walker) readFiles(list *tree.Value) map[string]*Source {
	all := make(variables.Env)
	out := make(map[string]*Source)
	for _, item := range append(list.Items[:len(list.Items):len(list.Items)], list) {
		path := item
		if item.Kind == tree.Map {
			path = item.Get("path")
		}
		if !path.Scalar() || path.Place.File == nil {
			continue
		}
		name := path.Text
		if !filepath.IsAbs(name) {
			name = filepath.Join(path.Place.File.Dir, name)
		}
		content, err := variables.ReadFile(name)
		if err != nil {
			continue
		}
		file := variables.File{Name: name, Content: content, Into: all, Lookup: w.env}
		if format := item.Get("format"); format != nil && format.Text == "raw" {
			_ = file.ReadRaw()
		} else {
			_, _ = file.Read()
		}
		w.linesOf(file, out)
	}
	return out
}

// linesOf adds where the file sets what. A name without a value stands for a variable, which has another origin than the file.
func (w *walker) linesOf(file variables.File, out map[string]*Source) {
	lines := strings.Split(string(file.Content), "\n")
	for name, v := range file.Into {
		if in, number, _ := cutLast(v.Origin); in == file.Name {
			n, _ := strconv.Atoi(number)
			out[name] = &Source{File: in, Line: n, Col: 1, Text: textAt(lines, n, v.Value)}
		}
	}
	if w.env == nil {
		return
	}
	for i, line := range slices.Backward(lines) { // so that the first counts: a later one may be in quotes
		name := strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if v, ok := w.env(name); ok && file.Into[name] == v {
			out[name] = &Source{File: file.Name, Line: i + 1, Col: 1, Text: "null", Variables: []Filling{{name, v.Value, true, v.Origin}}}
		}
	}
}

// textAt is the value as the line has it if variables may be in it: what they stand for is known to the model only.
func textAt(lines []string, number int, value string) string {
	if number < 1 || number > len(lines) {
		return value
	}
	line := lines[number-1]
	if i := strings.IndexAny(line, "=:"); i >= 0 && strings.Contains(line[i:], "$") {
		return strings.TrimSpace(line[i+1:])
	}
	return value
}

// cutLast takes FILE:LINE apart.
func cutLast(origin string) (file, line string, ok bool) {
	i := strings.LastIndexByte(origin, ':')
	if i < 0 {
		return origin, "", false
	}
	return origin[:i], origin[i+1:], true
}
