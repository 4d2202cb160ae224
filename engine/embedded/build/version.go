package build

import (
	"runtime/debug"
	"sync"

	"github.com/moby/buildkit/version"
)

// nameVersion has BuildKit say which version it is, which only its own linking does otherwise.
var nameVersion = sync.OnceFunc(func() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, dep := range info.Deps {
		if dep.Path == version.Package {
			version.Version = dep.Version
		}
	}
})
