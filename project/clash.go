package project

import (
	"fmt"
	"slices"

	"stackrun.dev/stack/project/internal/tree"
)

// definitions are the sections that an included file adds to.
var definitions = []string{"services", "jobs", "volumes", "networks", "secrets", "configs", "models"}

// clashes warns of what two included files define, each in its own way. What the including file itself says about an
// included resource is meant, and one file that comes in on two ways says the same twice.
func (a *assembler) clashes(doc, included *tree.Value, from *reading) {
	for _, section := range included.Entries {
		if !slices.Contains(definitions, section.Key) {
			continue
		}
		for _, e := range entries(section.Value) {
			other := doc.Get(section.Key).Entry(e.Key)
			if other == nil || other.At.File == nil || other.At.File == from.file || tree.Equal(other.Value, e.Value) {
				continue
			}
			text := fmt.Sprintf("%s.%s is defined in %s too; the two are merged, and what that file says wins", section.Key, e.Key, positionOf(other.At))
			a.warnings = append(a.warnings, Warning{Position: positionOf(e.At), Text: text})
		}
	}
}

func positionOf(at tree.Place) Position { return Position{at.File.Name, at.Line, at.Col} }
