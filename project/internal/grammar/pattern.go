package grammar

import (
	"strings"

	"github.com/moby/patternmatcher"
)

// Pattern checks one of the patterns of files that Docker has in .dockerignore.
func Pattern(text string) *Fault {
	fix := "write a path, with * for any name, ? for any character and ** for any folders; write \\[ where a name has a bracket"
	if strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "!")) == "" {
		return form("pattern", text, "a pattern", fix)
	}
	m, err := patternmatcher.New([]string{text})
	if err == nil {
		_, err = m.MatchesOrParentMatches("x") // some mistakes show only when it is used
	}
	if err != nil {
		return form("pattern", text, "a pattern", fix)
	}
	return nil
}
