package project

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// rule is one node of the specification's JSON schema, as far as the schema uses the language.
type rule struct {
	Ref               string           `json:"$ref"`
	Type              oneOrMany        `json:"type"`
	Properties        map[string]*rule `json:"properties"`
	PatternProperties map[string]*rule `json:"patternProperties"`
	Additional        *openness        `json:"additionalProperties"`
	Unevaluated       *openness        `json:"unevaluatedProperties"`
	Items             *rule            `json:"items"`
	OneOf             []*rule          `json:"oneOf"`
	AnyOf             []*rule          `json:"anyOf"`
	AllOf             []*rule          `json:"allOf"`
	Required          []string         `json:"required"`
	Enum              []any            `json:"enum"`
	Pattern           string           `json:"pattern"`
	Minimum           *float64         `json:"minimum"`
	Maximum           *float64         `json:"maximum"`
	Defs              map[string]*rule `json:"$defs"`

	flat *object // of mappings, computed when first needed
}

// object is what a mapping may have: its own properties and those of allOf.
type object struct {
	keys     map[string]*rule
	patterns []pattern
	any      *rule // for keys that match nothing else; nil: they are unknown
	required []string
}

type pattern struct {
	re *regexp.Regexp
	*rule
}

type oneOrMany []string

// UnmarshalJSON reads a string or a list of them.
func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*o = make(oneOrMany, 1)
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// openness is false, or a schema for whatever else there is.
type openness struct {
	closed bool
	rule   *rule
}

// UnmarshalJSON reads a boolean or a schema.
func (o *openness) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "false":
		o.closed = true
		return nil
	case "true":
		return nil
	}
	return json.Unmarshal(b, &o.rule)
}

// composeSchema is read when the first project is loaded.
var composeSchema = sync.OnceValues(func() (*rule, error) {
	var root rule
	err := json.Unmarshal([]byte(schema.Schema), &root)
	return &root, err
})

// checker is phase 4 for one file.
type checker struct {
	*source
	schema *rule
	seen   map[visited]bool // aliases may make the same part of the file appear many times
	errors Errors
}

type visited struct {
	node *yaml.Node
	rule *rule
}

// check is phase 4: every file against the schema and the grammars of values.
func check(sources []*source) Errors {
	root, err := composeSchema()
	if err != nil {
		return Errors{{Problem: fmt.Sprintf("the schema of this program cannot be read: %v", err)}}
	}
	var out Errors
	for _, s := range sources {
		if s.root == nil {
			continue
		}
		c := &checker{source: s, schema: root, seen: make(map[visited]bool)}
		c.node(s.root, root, nil, "")
		out = append(out, c.errors...)
	}
	return out
}

func (c *checker) report(n *yaml.Node, problem, fix string) {
	c.errors = append(c.errors, c.atNode(n, problem, fix))
}

// deref follows $ref.
func (c *checker) deref(r *rule) *rule {
	for r.Ref != "" {
		r = c.schema.Defs[strings.TrimPrefix(r.Ref, "#/$defs/")]
	}
	return r
}

// node checks a value. path names it in messages; shape is the path with "*" for names and "[]" for indexes, by which the
// value's grammar is known.
func (c *checker) node(n *yaml.Node, r *rule, path []string, shape string) {
	n = resolveAlias(n)
	r = c.deref(r)
	if n.Tag == "!reset" || c.seen[visited{n, r}] {
		return
	}
	c.seen[visited{n, r}] = true
	if r = c.choose(n, r, path); r == nil {
		return
	}
	before := len(c.errors)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		c.cast(n, path, shape)
	}
	switch n.Kind {
	case yaml.MappingNode:
		c.mapping(n, r, path, shape)
	case yaml.SequenceNode:
		c.sequence(n, r, path, shape)
	case yaml.ScalarNode:
		c.scalar(n, r, path)
	}
	if grammar := grammars[shape]; grammar != nil && len(c.errors) == before {
		grammar(c, n)
	}
}

// choose follows oneOf and anyOf to the alternative that takes values of this kind, and reports a wrong kind.
func (c *checker) choose(n *yaml.Node, r *rule, path []string) *rule {
	alternatives := slices.Concat(r.OneOf, r.AnyOf)
	if len(alternatives) == 0 {
		if !c.accepts(n, r) {
			c.wrongType(n, r.types(), path)
			return nil
		}
		return r
	}
	var wanted []string
	for _, a := range alternatives {
		a = c.deref(a)
		if len(a.OneOf) > 0 {
			if found := c.tryChoose(n, a, path); found != nil {
				return found
			}
		} else if c.accepts(n, a) {
			return a
		}
		wanted = append(wanted, a.types()...)
	}
	c.wrongType(n, wanted, path)
	return nil
}

// tryChoose is choose without reporting.
func (c *checker) tryChoose(n *yaml.Node, r *rule, path []string) *rule {
	before := len(c.errors)
	found := c.choose(n, r, path)
	c.errors = c.errors[:before]
	return found
}

// accepts says whether the rule takes values of the node's kind.
func (c *checker) accepts(n *yaml.Node, r *rule) bool {
	if len(r.Type) == 0 && len(r.AllOf) == 0 {
		return true
	}
	for _, kind := range kinds(n, c.dynamic[n]) {
		if slices.Contains(r.types(), kind) {
			return true
		}
	}
	return false
}

// types are the kinds of values that the rule takes. What is put together of other rules is a mapping.
func (r *rule) types() []string {
	if len(r.Type) == 0 && len(r.AllOf) > 0 {
		return []string{"object"}
	}
	return r.Type
}

// kinds are the schema's names for what the node is. A value that had a variable in it may be meant as anything.
func kinds(n *yaml.Node, dynamic bool) []string {
	switch n.Kind {
	case yaml.MappingNode:
		return []string{"object"}
	case yaml.SequenceNode:
		return []string{"array"}
	}
	if dynamic {
		return []string{"string", "integer", "number", "boolean"}
	}
	switch n.ShortTag() {
	case "!!int":
		return []string{"integer", "number"}
	case "!!float":
		return []string{"number"}
	case "!!bool":
		return []string{"boolean"}
	case "!!null":
		return []string{"null"}
	}
	return []string{"string"}
}

var kindNames = map[string]string{
	"object": "a mapping", "array": "a list", "string": "a string", "integer": "a whole number", "number": "a number",
	"boolean": "true or false", "null": "nothing",
}

func (c *checker) wrongType(n *yaml.Node, wanted []string, path []string) {
	var names []string
	for _, w := range wanted {
		if name := kindNames[w]; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	is := kindNames[kinds(n, false)[0]]
	fix := ""
	if slices.Contains(wanted, "string") && n.Kind == yaml.ScalarNode && is != "nothing" {
		fix = fmt.Sprintf("write it in quotes: %q", n.Value)
	}
	c.report(n, fmt.Sprintf("%s must be %s, not %s", nameOfPath(path), strings.Join(names, " or "), is), fix)
}

// nameOfPath is how messages call the value: services.web.ports[0], or "the file".
func nameOfPath(path []string) string {
	if len(path) == 0 {
		return "the file"
	}
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}

// cast gives a text the type that its attribute has: "${RETRIES}" or "3" is a number where one belongs.
func (c *checker) cast(n *yaml.Node, path []string, shape string) {
	cast := casts()[strings.ReplaceAll(shape, "[]", ".[]")]
	if cast == nil {
		return
	}
	value, err := cast(n.Value)
	if err != nil {
		c.report(n, fmt.Sprintf("%s cannot be %q: %v", nameOfPath(path), n.Value, err), "")
		return
	}
	n.Style = 0
	n.Value = fmt.Sprint(value)
	switch value.(type) {
	case bool:
		n.Tag = "!!bool"
	case float32, float64:
		n.Tag = "!!float"
	default:
		n.Tag = "!!int"
	}
}

// casts are compose-go's own, by shape.
var casts = sync.OnceValue(func() map[string]func(string) (any, error) {
	options := loader.ToOptions(&types.ConfigDetails{}, nil)
	out := make(map[string]func(string) (any, error))
	for path, cast := range options.Interpolate.TypeCastMapping {
		out[strings.Replace(path.String(), "pre_start.*", "pre_start.[]", 1)] = cast
	}
	return out
})

func (c *checker) sequence(n *yaml.Node, r *rule, path []string, shape string) {
	if r.Items == nil {
		return
	}
	for i, item := range n.Content {
		c.node(item, r.Items, append(path[:len(path):len(path)], fmt.Sprintf("[%d]", i)), shape+"[]")
	}
}

func (c *checker) scalar(n *yaml.Node, r *rule, path []string) {
	if len(r.Enum) > 0 && !c.dynamic[n] {
		var allowed []string
		for _, e := range r.Enum {
			allowed = append(allowed, fmt.Sprint(e))
		}
		if !slices.Contains(allowed, n.Value) {
			c.report(n, fmt.Sprintf("%s cannot be %q", nameOfPath(path), n.Value), "write "+strings.Join(allowed, " or "))
		}
	}
	if r.Pattern != "" && !regexp.MustCompile(r.Pattern).MatchString(n.Value) {
		c.report(n, fmt.Sprintf("%s cannot be %q", nameOfPath(path), n.Value), patternFixes[path[len(path)-1]])
	}
	var number float64
	if (r.Minimum == nil && r.Maximum == nil) || n.Decode(&number) != nil {
		return
	}
	if r.Minimum != nil && number < *r.Minimum {
		c.report(n, fmt.Sprintf("%s must be at least %v", nameOfPath(path), *r.Minimum), "")
	}
	if r.Maximum != nil && number > *r.Maximum {
		c.report(n, fmt.Sprintf("%s must be at most %v", nameOfPath(path), *r.Maximum), "")
	}
}

// patternFixes say in words what the schema says in regular expressions.
var patternFixes = map[string]string{
	"pull_policy":    "write always, missing, never or build",
	"container_name": "write at least two letters, digits, dots, hyphens or underscores, beginning with a letter or digit",
}

func (c *checker) mapping(n *yaml.Node, r *rule, path []string, shape string) {
	o := c.object(r)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			c.merged(value, r, path, shape)
			continue
		}
		if key.Kind != yaml.ScalarNode {
			c.report(key, "a key must be a string", "")
			continue
		}
		if len(path) == 0 && strings.HasPrefix(key.Value, "x-") {
			continue
		}
		below, step := o.find(key.Value)
		if below == nil {
			c.unknownKey(key, o, path)
			continue
		}
		c.node(value, below, append(path[:len(path):len(path)], key.Value), strings.TrimPrefix(shape+"."+step, "."))
	}
	for _, name := range o.required {
		if _, ok := childOfMapping(n, name); !ok {
			c.report(n, fmt.Sprintf("%s needs %s", nameOfPath(path), name), "")
		}
	}
}

// merged checks what "<<" brings in as if it were written here.
func (c *checker) merged(value *yaml.Node, r *rule, path []string, shape string) {
	value = resolveAlias(value)
	if value.Kind == yaml.SequenceNode {
		for _, part := range value.Content {
			c.merged(part, r, path, shape)
		}
		return
	}
	if value.Kind == yaml.MappingNode && !c.seen[visited{value, r}] {
		c.seen[visited{value, r}] = true
		partial := *r
		partial.Required, partial.flat = nil, nil
		c.mapping(value, &partial, path, shape)
	}
}

func (c *checker) unknownKey(key *yaml.Node, o *object, path []string) {
	where := "at the top of the file"
	if len(path) > 0 {
		where = "in " + nameOfPath(path)
	}
	if len(o.keys) == 0 {
		c.report(key, fmt.Sprintf("%q cannot be a name %s", key.Value, where), "use letters, digits, dots, hyphens and underscores")
		return
	}
	known := make([]string, 0, len(o.keys))
	for name := range o.keys {
		known = append(known, name)
	}
	slices.Sort(known)
	c.report(key, fmt.Sprintf("unknown key %q %s", key.Value, where), suggest(key.Value, known))
}

// object flattens the rule once.
func (c *checker) object(r *rule) *object {
	if r.flat != nil {
		return r.flat
	}
	o := &object{keys: make(map[string]*rule)}
	c.collect(r, o)
	closed := r.Additional != nil && r.Additional.closed || r.Unevaluated != nil && r.Unevaluated.closed
	switch {
	case r.Additional != nil && r.Additional.rule != nil:
		o.any = r.Additional.rule
	case !closed:
		o.any = &rule{}
	}
	r.flat = o
	return o
}

func (c *checker) collect(r *rule, o *object) {
	for name, below := range r.Properties {
		o.keys[name] = below
	}
	for expression, below := range r.PatternProperties {
		o.patterns = append(o.patterns, pattern{regexp.MustCompile(expression), below})
	}
	o.required = append(o.required, r.Required...)
	for _, part := range r.AllOf {
		c.collect(c.deref(part), o)
	}
}

// find returns the rule for a key and the step that stands for it in a shape; nil if the key is unknown.
func (o *object) find(key string) (*rule, string) {
	if r, ok := o.keys[key]; ok {
		return r, key
	}
	for _, p := range o.patterns {
		if p.re.MatchString(key) {
			return p.rule, "*"
		}
	}
	return o.any, "*"
}
