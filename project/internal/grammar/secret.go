package grammar

import (
	"regexp"
	"strings"
	"sync"
)

var (
	secretName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(^|_)(PASS|PASSWD|PWD|PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|APIKEY|KEY)[0-9]*$|PASSWORD$`)
	})
	publicName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(^|_)(PUBLIC|ALLOW|ENABLE|DISABLE|USE|REQUIRE|PRIMARY|SORT|CACHE|PARTITION|FOREIGN)_`)
	})
)

// NamesSecret says whether the last word of a variable's name is one for something secret.
func NamesSecret(name string) bool {
	name = strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
	return name != "PWD" && name != "KEY" && secretName().MatchString(name) && !publicName().MatchString(name)
}

// Harmless says whether a value can be no secret: nothing, a switch, or a path.
func Harmless(value string) bool {
	switch strings.ToLower(value) {
	case "", "true", "false", "yes", "no", "on", "off", "0", "1", "none", "null":
		return true
	}
	return strings.HasPrefix(value, "/") && strings.Count(value, "/") > 1
}
