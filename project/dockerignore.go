package project

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/patternmatcher/ignorefile"
)

// dockerignore is the name of a file that says what builds leave out of their context.
const dockerignore = ".dockerignore"

// DockerignoreFiles are the files that may say what a build leaves out. The first one that is there counts: one beside the
// Dockerfile and named after it, as BuildKit has it, before the context's.
func DockerignoreFiles(context, dockerfile string) []string {
	return []string{dockerfile + dockerignore, filepath.Join(context, dockerignore)}
}

// ReadDockerignore returns the patterns of what a build leaves out, relative to its context, as they stand in the file.
func ReadDockerignore(context, dockerfile string) ([]string, error) {
	for _, path := range DockerignoreFiles(context, dockerfile) {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("cannot understand %s: %w", path, err)
		}
		return patterns, nil
	}
	return nil, nil
}
