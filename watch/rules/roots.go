package rules

import (
	"slices"

	"stackrun.dev/stack/watch/tree"
)

// Roots is what is to be watched for the rules: their paths, those that are below others left out, sorted. What every rule skips
// that it could be about is skipped.
func Roots(rules []*Rule) []tree.Root {
	sorted := slices.Clone(rules)
	slices.SortStableFunc(sorted, func(a, b *Rule) int { return comparePaths(a.Path, b.Path) })
	var out []tree.Root
	for i := 0; i < len(sorted); {
		root := sorted[i].Path
		end := i + 1
		for ; end < len(sorted); end++ {
			if _, ok := below(sorted[end].Path, root); !ok {
				break
			}
		}
		out = append(out, tree.Root{Path: root, Skip: skip(sorted[i:end])})
		i = end
	}
	return out
}

func skip(rules []*Rule) func(string, bool) bool {
	return func(path string, dir bool) bool {
		for _, r := range rules {
			if !r.Skips(path, dir) {
				return false
			}
		}
		return true
	}
}
