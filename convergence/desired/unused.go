package desired

import "github.com/compose-spec/compose-go/v2/types"

// unused says that no service uses the config or secret of that name: then it does not matter what it is. Compose looks at
// those of services only, too.
func (r *refuser) unused(kind, name string) bool {
	for _, s := range r.project.Services {
		if uses(kind, name, s.ContainerSpec) {
			return false
		}
		for _, hook := range s.PreStart {
			if uses(kind, name, hook.ContainerSpec) {
				return false
			}
		}
		if s.Build != nil && uses(kind, name, types.ContainerSpec{Secrets: s.Build.Secrets}) {
			return false
		}
	}
	return true
}

func uses(kind, name string, c types.ContainerSpec) bool {
	for _, config := range c.Configs {
		if kind == "configs" && config.Source == name {
			return true
		}
	}
	for _, secret := range c.Secrets {
		if kind == "secrets" && secret.Source == name {
			return true
		}
	}
	return false
}
