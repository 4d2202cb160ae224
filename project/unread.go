package project

import (
	"errors"
	"fmt"
	"io/fs"
)

// unread says in words why a file that another file names cannot be read. What it is called comes first: "the env file".
func unread(what, name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%s %s does not exist", what, name)
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Sprintf("cannot read %s %s: %v", what, name, err)
}
