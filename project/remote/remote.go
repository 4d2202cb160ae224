// Package remote brings Compose files from git repositories and OCI registries, for include, extends and --file.
//
// What is fetched is kept below a cache folder, one folder for each commit or digest, so that it is fetched once and can be
// used without a network when the address pins it. A folder appears there whole or not at all: it is filled under another
// name and renamed. What arrives is not trusted: sizes are bounded, digests are checked, and names and links that lead out
// of the folder are refused or lead nowhere.
package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// fileNames are the names under which the Compose file of a folder is looked for, the preferred ones first.
var fileNames = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}

// result is where something fetched is: the folder that it may not leave, and the Compose file in it.
type result struct{ root, file string }

// memo remembers what each address was fetched as, and fetches an address once at a time.
type memo struct {
	mu      sync.Mutex
	entries map[string]*entry
}

type entry struct {
	mu   sync.Mutex
	done bool
	result
}

// get returns what the address was fetched as, or has it fetched. A failure is not remembered.
func (m *memo) get(address string, fetch func() (result, error)) (result, error) {
	m.mu.Lock()
	if m.entries == nil {
		m.entries = make(map[string]*entry)
	}
	e, ok := m.entries[address]
	if !ok {
		e = &entry{}
		m.entries[address] = e
	}
	m.mu.Unlock()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done {
		return e.result, nil
	}
	got, err := fetch()
	if err == nil {
		e.done, e.result = true, got
	}
	return got, err
}

// fetchOnce is what both Fetchers do: once for each address, with the address in the error.
func (m *memo) fetchOnce(ctx context.Context, address, shown string, fetch func(context.Context) (result, error)) (root, file string, err error) {
	got, err := m.get(address, func() (result, error) { return fetch(ctx) })
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", "", fmt.Errorf("cannot fetch %s: %w", shown, err)
	}
	return got.root, got.file, nil
}

// composeFile finds the Compose file at the path inside root, which names the file or its folder. Links are followed as
// long as they stay inside.
func composeFile(root, path string) (string, error) {
	if path == "" {
		path = "."
	}
	inside, err := os.OpenRoot(root)
	if err != nil {
		return "", err
	}
	defer inside.Close() //nolint:errcheck // nothing was written
	info, err := inside.Stat(path)
	if err != nil {
		return "", explainPath(path, err)
	}
	if !info.IsDir() {
		return filepath.Join(root, path), nil
	}
	for _, name := range fileNames {
		file := filepath.Join(path, name)
		info, err := inside.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", explainPath(file, err)
		}
		if !info.IsDir() {
			return filepath.Join(root, file), nil
		}
	}
	return "", fmt.Errorf("its folder %q has no compose file (%v)", path, fileNames)
}

// explainPath leaves out where the cache is.
func explainPath(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it has no %q", path)
	}
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		err = inPath.Err
	}
	return fmt.Errorf("%q: %w", path, err)
}
