package lint

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

var missingHealthcheck = Rule{
	Name:    "missing-healthcheck",
	Summary: "a service without a health check that others depend on",
	Why:     "a container that has started is not yet ready, and what depends on it fails now and then",
	Bad:     "services:\n  web:\n    image: app:1\n    depends_on: [db]\n  db:\n    image: postgres:18\n",
	Good: "services:\n  web:\n    image: app:1\n    depends_on:\n      db: {condition: service_healthy}\n" +
		"  db:\n    image: postgres:18\n    healthcheck:\n      test: [CMD, pg_isready]\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			if checked(s) || s.Build != nil || s.Provider != nil { // what is built may bring a health check
				continue
			}
			started, healthy := l.waiting(name, types.ServiceConditionStarted), l.waiting(name, types.ServiceConditionHealthy)
			fix := fmt.Sprintf("write a healthcheck for %s, and condition: service_healthy where it is depended on", name)
			switch {
			case len(healthy) > 0 && s.HealthCheck == nil:
				l.find(fmt.Sprintf("%s waits until %s is healthy, which never happens unless its image has a health check", strings.Join(healthy, ", "), name),
					"write a healthcheck for "+name, "services", name)
			case len(started) > 0:
				l.find(fmt.Sprintf("%s waits only until %s has started, and nothing tells when it is ready", strings.Join(started, ", "), name), fix, "services", name)
			}
		}
	},
}

// checked says whether the files give the service a health check.
func checked(s types.ServiceConfig) bool {
	h := s.HealthCheck
	return h != nil && !h.Disable && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// waiting are the services whose depends_on names the service with the condition. Links and shared namespaces, which imply a
// dependency, do not count.
func (l *linter) waiting(name, condition string) []string {
	if l.waiters == nil {
		l.waiters = make(map[[2]string][]string)
		for _, other := range l.names {
			for on, d := range l.all[other].DependsOn {
				if l.Has("services", other, "depends_on", on) {
					key := [2]string{on, d.Condition}
					l.waiters[key] = append(l.waiters[key], other)
				}
			}
		}
	}
	return l.waiters[[2]string{name, condition}]
}

var weakDependency = Rule{
	Name:    "weak-dependency",
	Summary: "a dependency that does not wait for the health check that there is",
	Why:     "a container that has started is not yet ready, and its health check would tell",
	Bad: "services:\n  web:\n    image: app:1\n    depends_on: [db]\n" +
		"  db:\n    image: postgres:18\n    healthcheck:\n      test: [CMD, pg_isready]\n",
	Good: "services:\n  web:\n    image: app:1\n    depends_on:\n      db: {condition: service_healthy}\n" +
		"  db:\n    image: postgres:18\n    healthcheck:\n      test: [CMD, pg_isready]\n",
	check: func(l *linter) {
		all := l.all
		for _, name := range l.names {
			for _, other := range slices.Sorted(maps.Keys(all[name].DependsOn)) {
				d := all[name].DependsOn[other]
				path := []string{"services", name, "depends_on", other}
				if d.Condition == types.ServiceConditionStarted && checked(all[other]) && l.Has(path...) {
					l.find(fmt.Sprintf("%s waits only until %s has started, though it has a health check", name, other),
						fmt.Sprintf("write\n  depends_on:\n    %s: {condition: service_healthy}", other), path...)
				}
			}
		}
	},
}

var neverCompletes = Rule{
	Name:    "never-completes",
	Summary: "waiting for the end of a service that is started again whenever it ends",
	Why:     "what waits for it may never start",
	Bad: "services:\n  web:\n    image: app:1\n    depends_on:\n      migrate: {condition: service_completed_successfully}\n" +
		"  migrate:\n    image: app:1\n    restart: always\n",
	Good: "services:\n  web:\n    image: app:1\n    depends_on:\n      migrate: {condition: service_completed_successfully}\n" +
		"  migrate:\n    image: app:1\n    restart: on-failure\n",
	check: func(l *linter) {
		for _, name := range l.names {
			policy := l.all[name].Restart
			if waiting := l.waiting(name, types.ServiceConditionCompletedSuccessfully); len(waiting) > 0 && (policy == "always" || policy == "unless-stopped") {
				l.find(fmt.Sprintf("%s waits until %s has ended, which is started again whenever it ends", strings.Join(waiting, ", "), name),
					`write restart: on-failure or "no"`, "services", name, "restart")
			}
		}
	},
}
