package lint

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"

	"stackrun.dev/stack/project/internal/grammar"
)

var secretInEnvironment = Rule{
	Name:    "secret-in-environment",
	Summary: "a password, token or key that is written into the file as a variable of a container or of a build",
	Why:     "it is in version control, in the output of inspect, and in the environment of every process of the container",
	Bad:     "services:\n  db:\n    image: postgres:18\n    environment:\n      POSTGRES_PASSWORD: hunter2\n",
	Good: "services:\n  db:\n    image: postgres:18\n    environment:\n      POSTGRES_PASSWORD_FILE: /run/secrets/password\n    secrets: [password]\n" +
		"secrets:\n  password:\n    file: ./password.txt\n",
	check: func(l *linter) {
		for _, name := range l.names {
			s := l.all[name]
			l.variables(s.Environment, "services", name, "environment")
			if s.Build != nil {
				l.variables(s.Build.Args, "services", name, "build", "args")
			}
		}
	},
}

func (l *linter) variables(values types.MappingWithEquals, path ...string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := append(slices.Clone(path), name)
		value := values[name]
		if value == nil || !l.Literal(at...) {
			continue
		}
		switch {
		case grammar.NamesSecret(name) && !grammar.Harmless(*value):
			fix := fmt.Sprintf("put it into a file under secrets: and, if the image reads that, write %s_FILE: /run/secrets/NAME; or take it from a variable", name)
			if path[len(path)-2] == "build" {
				fix = "give it to the build as a secret: build.secrets"
			}
			l.find(fmt.Sprintf("%s looks like a secret", name), fix, at...)
		case passwordInAddress.MatchString(*value):
			l.find(fmt.Sprintf("the address in %s has a password", name), "take the password from a variable: ${NAME}", at...)
		}
	}
}

var passwordInAddress = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@`)
