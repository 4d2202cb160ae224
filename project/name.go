package project

import "errors"

// nameVariable is the project's name, as the environment may give it and as files may use it.
const nameVariable = "COMPOSE_PROJECT_NAME"

var errBadName = errors.New("must consist of lower-case letters, digits, hyphens and underscores, and begin with a letter or digit")

// checkName says whether the project may be called so.
func checkName(name string) error {
	for i, r := range name {
		alphanumeric := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || r != '-' && r != '_') {
			return errBadName
		}
	}
	if name == "" {
		return errBadName
	}
	return nil
}
