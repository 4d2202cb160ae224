package project

import (
	"maps"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"stackrun.dev/stack/project/internal/variables"
)

// EnvFile is the project's variables as the text of an env file, sorted by name. It can be given to --env-file: reading it
// sets the same variables to the same values. Variables are left out that have a name which no env file can have.
func (p *Project) EnvFile() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		value := p.Env[name]
		line, err := godotenv.Marshal(map[string]string{name: value})
		if err != nil || !readsAs(line, name, value) {
			line = name + `="` + escapeValue.Replace(value) + `"`
		}
		if readsAs(line, name, value) {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// escapeValue writes what godotenv does not: numbers that begin with 0 or +, and exclamation marks and backquotes, which
// Docker Compose reads with the backslash that godotenv puts before them.
var escapeValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`)

// readsAs says whether the line of an env file sets the variable to the value, and nothing else.
func readsAs(line, name, value string) bool {
	into := make(variables.Env)
	_, err := variables.File{Content: []byte(line), Into: into}.Read()
	return err == nil && len(into) == 1 && into[name].Value == value
}
