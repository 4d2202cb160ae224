package project

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"stackrun.dev/stack/project/internal/schema"
)

// kindNames are what messages call the kinds, in the order in which they list them.
var kindNames = []struct {
	kind schema.Kinds
	name string
}{
	{schema.Map, "a mapping"}, {schema.List, "a list"}, {schema.String, "a string"}, {schema.Int | schema.Float, "a number"},
	{schema.Int, "a whole number"}, {schema.Bool, "true or false"}, {schema.Null, "nothing"},
}

// nameOfKinds is "a mapping or a list".
func nameOfKinds(kinds schema.Kinds) string {
	var names []string
	for _, k := range kindNames {
		if kinds&k.kind == k.kind {
			names = append(names, k.name)
			kinds &^= k.kind
		}
	}
	if len(names) > 1 && names[len(names)-1] == "nothing" {
		names = names[:len(names)-1]
	}
	if last := len(names) - 1; last > 1 {
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return strings.Join(names, " or ")
}

// wrongType reports a value of a kind that cannot be here, and what to write instead.
func (c *checker) wrongType(n *yaml.Node, r *schema.Rule) {
	kind := kindOf(n)
	is := nameOfKinds(kind)
	if kind == schema.Float {
		is = "a number"
	}
	problem := fmt.Sprintf("%s must be %s, not %s", c.name(), nameOfKinds(r.Kinds), is)
	c.report("wrong-type", n, problem, c.typeAdvice(n, r, kind))
}

// durations are attributes whose numbers are often meant in seconds.
var durations = []string{"interval", "timeout", "start_period", "start_interval", "stop_grace_period", "delay", "window", "monitor"}

func (c *checker) typeAdvice(n *yaml.Node, r *schema.Rule, kind schema.Kinds) string {
	last := ""
	if len(c.path) > 0 {
		last = c.path[len(c.path)-1]
	}
	// A service's attribute that is indented too little seems to be a service.
	if len(c.path) == 2 && c.path[0] == "services" && schema.Service().Fixed(last) != nil {
		return fmt.Sprintf("%s belongs in a service; indent it one step more", last)
	}
	switch {
	case kind == schema.Null:
		return "remove the line, or indent what belongs to it"
	case kind == schema.String && n.Style == 0 && r.Kinds&schema.Map != 0 && tightKey().MatchString(n.Value):
		key, value, _ := strings.Cut(n.Value, ":")
		return fmt.Sprintf("a space is missing after the colon: %s: %s", key, value)
	case kind == schema.String && n.Style == 0 && r.Kinds&schema.List != 0 && tightItem().MatchString(n.Value):
		return fmt.Sprintf("a space is missing after the hyphen: - %s", n.Value[1:])
	case kind&(schema.Int|schema.Float) != 0 && slices.Contains(durations, last):
		return fmt.Sprintf("write it with its unit: %ss", n.Value)
	case r.Kinds&schema.String != 0 && n.Kind == yaml.ScalarNode:
		return fmt.Sprintf("write it in quotes: %q", n.Value)
	case r.Kinds&(schema.List|schema.Map) == schema.List && n.Kind == yaml.ScalarNode:
		return fmt.Sprintf("write it as a list: [%s]", quoted(n))
	case r.Kinds&schema.List != 0 && kind == schema.Map && last == "include":
		return `begin each file with "- "`
	case r.Kinds&schema.List != 0 && kind == schema.Map:
		return `begin each item with "- "`
	case r.Kinds&schema.Map != 0 && kind == schema.List && r.Named != nil:
		return `write "name:" for each, without "- "`
	case r.Kinds&(schema.Map|schema.String) == schema.Map && kind == schema.List:
		return `write "key: value" in each line, without "- "`
	}
	return ""
}

// What becomes a text when the space after a colon or a hyphen is missing.
var (
	tightKey  = lazily(`^[A-Za-z_][\w.-]*:\S`)
	tightItem = lazily(`^-[^\s-]`)
)

// quoted is the scalar as it can stand in a list in brackets.
func quoted(n *yaml.Node) string {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0 && !strings.ContainsAny(n.Value, ",[]{}:#\n\"") && n.ShortTag() != "!!str" {
		return n.Value
	}
	return fmt.Sprintf("%q", n.Value)
}

// unknownKey reports a key that the mapping cannot have: the nearest one that it can, or where the key belongs.
func (c *checker) unknownKey(key, value *yaml.Node, r *schema.Rule) {
	where := "at the top of the file"
	if len(c.path) > 0 {
		where = "in " + c.name()
	}
	known := r.FixedKeys()
	switch {
	case r.Named == schema.Service() && meantForTop(key.Value, value):
		problem := fmt.Sprintf("%s is not meant as a service: it has none of a service's keys", key.Value)
		c.report("unknown-key", key, problem, key.Value+" belongs at the top of the file; indent it less")
		return
	case len(known) == 0:
		c.report("invalid-name", key, fmt.Sprintf("%q cannot be a name %s", key.Value, where), nameAdvice(r.Names))
		return
	}
	c.report("unknown-key", key, fmt.Sprintf("unknown key %q %s", key.Value, where), c.keyAdvice(key.Value, value, known))
}

func nameAdvice(names schema.Names) string {
	switch names {
	case schema.Lower:
		return "use lower-case letters"
	case schema.Nonempty:
		return "a name cannot be empty"
	}
	return "use letters, digits, dots, hyphens and underscores"
}

// keyAdvice says what to do with an unknown key. A slip of a letter comes first, then a key in the wrong place, and then
// words that are somewhat like it.
func (c *checker) keyAdvice(key string, value *yaml.Node, known []string) string {
	slices.Sort(known)
	r := c.within[len(c.within)-1]
	near := nearest(key, known)
	prefix, rest, tight := strings.Cut(key, ":")
	switch {
	case tight && slices.Contains(known, strings.TrimSpace(prefix)):
		return fmt.Sprintf("a space is missing after the colon: %s: %s", prefix, strings.TrimSpace(rest))
	case len(c.path) <= 2 && legacy[key] != "":
		return legacy[key]
	case near != "" && editDistance(key, near) == 1 && len(key) > 3:
		return suggest(key, known)
	}
	if at := c.above(key); at != "" {
		return fmt.Sprintf("%s belongs in %s; indent it less", key, at)
	}
	if ways := below(key, r, 2); len(ways) > 0 && len(ways) <= mostPlaces {
		return fmt.Sprintf("%s belongs in %s", key, strings.Join(ways, " or "))
	}
	if len(c.path) == 0 && looksLikeService(value) {
		return "services belong below services:; indent it"
	}
	if len(c.path) == 0 && schema.Service().Fixed(key) != nil {
		return key + " belongs in a service: services.NAME." + key
	}
	return suggest(key, known)
}

// mostPlaces is of how many places for a key a message speaks.
const mostPlaces = 2

// above is the nearest mapping around this one that can have the key.
func (c *checker) above(key string) string {
	for i := len(c.within) - 2; i >= 0; i-- {
		if c.within[i].Fixed(key) == nil {
			continue
		}
		if i == 0 {
			return "the top of the file"
		}
		return strings.ReplaceAll(strings.Join(c.path[:i], "."), ".[", "[")
	}
	return ""
}

// below are the ways to the mappings inside this one that can have the key, on the first of some steps down that has any.
func below(key string, r *schema.Rule, steps int) []string {
	if steps == 0 {
		return nil
	}
	var here, deeper []string
	for _, name := range r.FixedKeys() {
		inner := r.Fixed(name)
		if inner.Kinds&schema.Map == 0 {
			continue
		}
		if inner.Fixed(key) != nil {
			here = append(here, name)
		}
		for _, way := range below(key, inner, steps-1) {
			deeper = append(deeper, name+"."+way)
		}
	}
	if len(here) > 0 {
		return here
	}
	return deeper
}

// meantForTop says whether a service looks like a section of the whole file that is indented too much.
func meantForTop(name string, value *yaml.Node) bool {
	value = resolveAlias(value)
	if schema.Root().Fixed(name) == nil || value.Kind != yaml.MappingNode || len(value.Content) == 0 {
		return false
	}
	for i := 0; i < len(value.Content); i += 2 {
		if found, _ := schema.Service().Find(value.Content[i].Value); found != nil || value.Content[i].Tag == "!!merge" {
			return false
		}
	}
	return true
}

func looksLikeService(value *yaml.Node) bool {
	value = resolveAlias(value)
	if value.Kind != yaml.MappingNode {
		return false
	}
	_, image := childOfMapping(value, "image")
	_, build := childOfMapping(value, "build")
	return image || build
}

// legacy are keys of versions 1 to 3 of the format that are no more, and what to write instead.
var legacy = map[string]string{
	"net":           "write network_mode, or networks",
	"log_driver":    "write logging:\n  driver: NAME",
	"log_opt":       "write logging:\n  options: {…}",
	"volume_driver": "write volumes at the top of the file with driver, and name the volume here",
	"dockerfile":    "write build:\n  dockerfile: NAME",
	"cpu_set":       "write cpuset",
	"limits":        "limits belongs in deploy.resources",
}

// lazily is a pattern that is compiled when it is first needed: most commands never do.
func lazily(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}
