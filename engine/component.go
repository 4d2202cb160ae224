package engine

import "github.com/docker/docker/api/types"

// What Version tells about what other engines do not do: a component of this name with a detail for each.
const (
	componentName  = "stack"
	handoverDetail = "handover"
	syncDetail     = "sync"
)

// Component is what an engine that HandsOver and has EngineSyncs adds to the components of its Version.
func Component(version string) types.ComponentVersion {
	return types.ComponentVersion{Name: componentName, Version: version, Details: map[string]string{handoverDetail: "true", syncDetail: "true"}}
}

// does reports whether the engine of that version tells the detail.
func does(v types.Version, detail string) bool {
	for _, c := range v.Components {
		if c.Name == componentName && c.Details[detail] == "true" {
			return true
		}
	}
	return false
}
