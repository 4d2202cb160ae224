package main

import (
	"os"
	"path/filepath"
	"strings"
)

// environment is the list of NAME=value as a map.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok && name != "" {
			env[name] = value
		}
	}
	return env
}

// cutEnv takes NAME=value apart. NAME alone has the value that own has for it, and is not ok if there is none.
func cutEnv(pair string, own map[string]string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(pair, "=")
	if !ok {
		value, ok = own[name]
	}
	return name, value, ok
}

// absolutePath is the path as seen from the working directory; ~ is the home directory.
func absolutePath(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~"); ok && (rest == "" || rest[0] == '/') {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		return filepath.Join(home, rest), nil
	}
	return filepath.Abs(path)
}
