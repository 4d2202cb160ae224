package desired

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project"
)

// xStack is the extension in which a Compose file says what the specification has no words for. On the project it is what
// services have that do not say otherwise.
const xStack = "x-stack"

// restartUnhealthy is a key of xStack: whoever keeps the project converged restarts containers that are unhealthy.
const restartUnhealthy = "restart_unhealthy"

// onChange is a key of xStack that services have. The loader reads it, and refuses what is wrong in it.
const onChange = "on_change"

var (
	projectKeys = []string{restartUnhealthy}
	serviceKeys = []string{onChange, restartUnhealthy}
)

// xStackOf reads the project's extension, or that of the service, which may have the keys.
func (b *builder) xStackOf(extensions types.Extensions, known []string, path ...string) map[string]any {
	content, there := extensions[xStack]
	if !there || content == nil {
		return nil
	}
	path = extend(path, xStack)
	keys, ok := content.(map[string]any)
	if !ok {
		b.errors = append(b.errors, b.project.Mistake(xStack+" is a mapping", "write "+xStack+": {"+restartUnhealthy+": true}", path...))
		return nil
	}
	for _, key := range sortedKeys(keys) {
		if !slices.Contains(known, key) {
			problem, fix := fmt.Sprintf("%s has no key %q; it has %s", xStack, key, strings.Join(known, ", ")), project.Suggest(key, known)
			if slices.Contains(serviceKeys, key) {
				problem, fix = fmt.Sprintf("%s is a key of %s on services", key, xStack), "write it below the services that it is meant for"
			}
			b.errors = append(b.errors, b.project.Mistake(problem, fix, extend(path, key)...))
		}
	}
	return keys
}

// flag reads a key that is true or false, also as a text, which is what a variable gives. It is otherwise if it is not there.
func (b *builder) flag(keys map[string]any, key string, otherwise bool, path ...string) bool {
	switch v := keys[key].(type) {
	case nil:
		return otherwise
	case bool:
		return v
	case string:
		if v == "true" || v == "false" {
			return v == "true"
		}
	}
	b.errors = append(b.errors, b.project.Mistake(key+" is true or false", "", extend(extend(path, xStack), key)...))
	return otherwise
}

// restartsUnhealthy is what the service says, else the project.
func (b *builder) restartsUnhealthy(s types.ServiceConfig) bool {
	return b.flag(b.xStackOf(s.Extensions, serviceKeys, place(s.Name)...), restartUnhealthy, b.unhealthy, place(s.Name)...)
}
