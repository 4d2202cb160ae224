package lint

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
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
		case namesSecret(name) && !harmless(*value):
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

var (
	secretName        = regexp.MustCompile(`(^|_)(PASS|PASSWD|PWD|PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|APIKEY|KEY)[0-9]*$|PASSWORD$`)
	publicName        = regexp.MustCompile(`(^|_)(PUBLIC|ALLOW|ENABLE|DISABLE|USE|REQUIRE|PRIMARY|SORT|CACHE|PARTITION|FOREIGN)_`)
	passwordInAddress = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@`)
)

// namesSecret says whether the last word of a variable's name is one for something secret.
func namesSecret(name string) bool {
	name = strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
	return name != "PWD" && name != "KEY" && secretName.MatchString(name) && !publicName.MatchString(name)
}

// harmless says whether a value can be no secret: nothing, a switch, or a path.
func harmless(value string) bool {
	switch strings.ToLower(value) {
	case "", "true", "false", "yes", "no", "on", "off", "0", "1", "none", "null":
		return true
	}
	return strings.HasPrefix(value, "/") && strings.Count(value, "/") > 1
}
