package main

import (
	"strconv"
	"strings"
	"sync"

	"stackrun.dev/stack/project"
)

// withEnvFile completes getenv: a COMPOSE_ variable that the environment does not set may stand in the .env of the working
// directory. The file is read when it is asked for. Its mistakes are the loader's to report.
func withEnvFile(getenv func(string) string) func(string) string {
	read := sync.OnceValue(func() map[string]string {
		if off, _ := strconv.ParseBool(getenv("COMPOSE_DISABLE_ENV_FILE")); off {
			return nil
		}
		values, _ := project.ReadEnvFile(".env", nil)
		return values
	})
	return func(name string) string {
		value := getenv(name)
		if value == "" && strings.HasPrefix(name, "COMPOSE_") {
			return read()[name]
		}
		return value
	}
}
