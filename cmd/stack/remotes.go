package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"stackrun.dev/stack/project"
	"stackrun.dev/stack/project/remote"
)

// remotes are what brings Compose files from elsewhere. Nothing is called before an address is met.
func (a *app) remotes() []project.Fetcher {
	cache := a.cacheDir()
	git := remote.NewGit(remote.GitOptions{Cache: below(cache, "git"), Env: a.environ})
	oci := remote.NewOCI(a.ociOptions(below(cache, "oci")))
	return []project.Fetcher{
		&fetcher{Fetcher: git, app: a, variable: "COMPOSE_EXPERIMENTAL_GIT_REMOTE"},
		&fetcher{Fetcher: oci, app: a, variable: "COMPOSE_EXPERIMENTAL_OCI_REMOTE"},
	}
}

func (a *app) ociOptions(cache string) remote.OCIOptions {
	return remote.OCIOptions{
		Cache: cache, Insecure: a.global.insecureRegistries,
		Credentials: func(registry string) (user, secret string, err error) {
			auth, err := credentials(registry)
			if auth.IdentityToken != "" {
				return "", auth.IdentityToken, err
			}
			return auth.Username, auth.Password, err
		},
	}
}

// cacheDir is where remote projects are kept, or "" where there is no place.
func (a *app) cacheDir() string {
	if dir := a.getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "stack")
	}
	if home := a.getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "stack")
	}
	return ""
}

func below(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// fetcher is a Fetcher that a variable of Compose can switch off.
type fetcher struct {
	project.Fetcher
	app      *app
	variable string
}

// Fetch implements project.Fetcher.
func (f *fetcher) Fetch(ctx context.Context, address string) (root, file string, err error) {
	if text := f.app.getenv(f.variable); text != "" {
		on, err := strconv.ParseBool(text)
		if err != nil {
			return "", "", fmt.Errorf("%s=%s is neither true nor false", f.variable, text)
		}
		if !on {
			return "", "", fmt.Errorf("cannot fetch %s: %s=%s forbids it", project.WithoutPassword(address), f.variable, text)
		}
	}
	if f.app.cacheDir() == "" {
		return "", "", errors.New("there is no folder to keep remote files in; set HOME or XDG_CACHE_HOME")
	}
	root, file, err = f.Fetcher.Fetch(ctx, address)
	if err == nil {
		f.app.fetched.add(project.WithoutPassword(address))
	}
	return root, file, err
}

// addressList are the addresses that something was fetched from.
type addressList struct {
	mu   sync.Mutex
	list []string
}

func (l *addressList) add(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.list, address) {
		l.list = append(l.list, address)
	}
}

// addresses are those that the project's files were fetched from, sorted.
func (a *app) addresses() []string {
	a.fetched.mu.Lock()
	defer a.fetched.mu.Unlock()
	return slices.Sorted(slices.Values(a.fetched.list))
}
