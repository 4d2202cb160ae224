package lint

import (
	"fmt"
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

var unused = Rule{
	Name:    "unused",
	Summary: "a network, volume, secret, config or model that no service uses",
	Why:     "it is either a leftover, or a service names another one than was meant",
	Bad:     "services:\n  web:\n    image: app:1\nvolumes:\n  data:\n",
	Good:    "services:\n  web:\n    image: app:1\n    volumes: [\"data:/data\"]\nvolumes:\n  data:\n",
	check: func(l *linter) {
		used := l.used()
		report := func(kind string, names []string) {
			for _, name := range names {
				if !used[kind+"."+name] && l.Has(kind, name) {
					l.find(fmt.Sprintf("%s.%s is used by no service", kind, name), "remove it", kind, name)
				}
			}
		}
		report("networks", slices.DeleteFunc(l.NetworkNames(), func(n string) bool { return n == "default" }))
		report("volumes", l.VolumeNames())
		report("secrets", l.SecretNames())
		report("configs", l.ConfigNames())
		report("models", slices.Sorted(maps.Keys(l.Models)))
	},
}

// used are the things that services use, as "volumes.data".
func (l *linter) used() map[string]bool {
	used := make(map[string]bool)
	for _, s := range l.all {
		for name := range s.Networks {
			used["networks."+name] = true
		}
		for _, m := range s.Volumes {
			if m.Type == types.VolumeTypeVolume {
				used["volumes."+m.Source] = true
			}
		}
		for _, c := range s.Configs {
			used["configs."+c.Source] = true
		}
		for _, c := range s.Secrets {
			used["secrets."+c.Source] = true
		}
		for name := range s.Models {
			used["models."+name] = true
		}
		if s.CredentialSpec != nil {
			used["configs."+s.CredentialSpec.Config] = true
		}
		if s.Build != nil {
			used["networks."+s.Build.Network] = true
			for _, c := range s.Build.Secrets {
				used["secrets."+c.Source] = true
			}
		}
	}
	return used
}
