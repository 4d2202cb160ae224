package grammar

import (
	"fmt"
	"slices"
	"strings"
)

// mountOptions are the options of a mount's short form, in groups of which a mount can have one each.
var mountOptions = [][]string{
	{"ro", "rw"},
	{"z", "Z"},
	{"nocopy"},
	{"cached", "delegated", "consistent", "default"},
	{"private", "rprivate", "shared", "rshared", "slave", "rslave"},
}

// MountOptions checks the options of a mount, which commas part. Docker Compose takes any, so that one that is not known is
// only worth a warning; two that contradict each other are refused by the engine.
func MountOptions(text string) *Fault {
	var unknown *Fault
	given := make([]string, len(mountOptions))
	options := strings.Split(text, ",")
	for i, option := range options {
		group := slices.IndexFunc(mountOptions, func(words []string) bool { return slices.Contains(words, option) })
		if group < 0 {
			if unknown == nil && option != "" {
				unknown = unknownOption(option)
				unknown.Before = strings.Join(append(options[:i:i], ""), ",")
			}
			continue
		}
		if other := given[group]; other != "" && other != option {
			problem := fmt.Sprintf("the mount options %s and %s contradict each other", other, option)
			return &Fault{Rule: "invalid-volume", Part: text, Problem: problem, Fix: "remove one of the two"}
		}
		given[group] = option
	}
	return unknown
}

func unknownOption(option string) *Fault {
	known := slices.Concat(mountOptions...)
	return &Fault{
		Mild: true, Rule: "unknown-option", Part: option, Words: known,
		Problem: "the mount option " + quote(option) + " is not known and has no effect",
		Fix:     "write some of " + strings.Join(known, ", "),
	}
}
