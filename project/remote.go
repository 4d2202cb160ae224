package project

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"stackrun.dev/stack/project/internal/tree"
	"stackrun.dev/stack/project/internal/variables"
)

// target is a file that is named somewhere.
type target struct {
	path string // absolute, or "-"
	name string // what messages call it: the path, or the address that was given
	root string // of the remote resource that it is of, or ""
}

// remote is a resource that was fetched.
type remote struct{ root, file string }

// fetch brings a remote resource if the address is one; else ok is false.
func (a *assembler) fetch(address string) (t target, ok bool, err error) {
	i := slices.IndexFunc(a.options.Remotes, func(f Fetcher) bool { return f.Accepts(address) })
	if i < 0 && isAddress(address) {
		return target{}, true, notFetched(address)
	}
	if i < 0 {
		return target{}, false, nil
	}
	r, known := a.remote[address]
	if !known {
		if r.root, r.file, err = a.options.Remotes[i].Fetch(a.ctx, address); err != nil {
			return target{}, true, err
		}
		a.remote[address] = r
	}
	return target{path: r.file, name: WithoutPassword(address), root: r.root}, true, nil
}

// isAddress says whether the text begins with a scheme, as no path that people write does.
func isAddress(text string) bool {
	scheme, _, ok := strings.Cut(text, "://")
	return ok && scheme != "" && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}

// notFetched is the error about an address that no Fetcher takes.
func notFetched(address string) error {
	if strings.HasPrefix(address, "file://") {
		return fmt.Errorf("%s is not fetched; write the path alone", address)
	}
	return fmt.Errorf("%s is not fetched; write https://host/repository.git#BRANCH:FOLDER for a git repository, or oci://registry/name:tag for a project in a registry", WithoutPassword(address))
}

// WithoutPassword is the address of a remote file as messages, labels and logs may have it.
func WithoutPassword(address string) string {
	if !strings.Contains(address, "://") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	if _, has := u.User.Password(); !has {
		return address
	}
	return u.Redacted()
}

// commandLine is the file that -f names.
func (a *assembler) commandLine(address string) (target, error) {
	t, ok, err := a.fetch(address)
	if err != nil {
		return t, fmt.Errorf("cannot read the compose file: %w", err)
	}
	if !ok {
		return target{path: address, name: address}, nil
	}
	if a.options.ProjectDir == "" && address == a.found.files[0] {
		a.found.dir = filepath.Dir(t.path)
	}
	return t, nil
}

// named is the file that a value of another file names. It has been reported if there is an error.
func (a *assembler) named(v *tree.Value) (target, bool) {
	t, ok, err := a.fetch(a.text(v))
	if err != nil {
		a.fail("remote", v.Place, err.Error(), "")
		return t, false
	}
	if ok {
		return t, true
	}
	path, ok := a.path(v)
	return target{path: path, name: path, root: v.Place.File.Root}, ok
}

// path is the path that a value states, absolute. One that leads out of the remote resource that states it is reported.
func (a *assembler) path(v *tree.Value) (string, bool) {
	path := absolute(a.text(v), v.Place.File.Dir)
	if f := v.Place.File; f.Root != "" && !inside(f.Root, path) && !inside(f.Dir, path) {
		a.fail("outside-resource", v.Place, fmt.Sprintf("%s leads out of the remote resource", v.Text), "files of a remote resource can use only what it brings")
		return path, false
	}
	return path, true
}

// text is what a value says that names a file. Variables are replaced in it also where they stay in the model.
func (a *assembler) text(v *tree.Value) string {
	if !a.options.NoInterpolate {
		return v.Text
	}
	x, err := variables.Expand(v.Text, func(name string) (variables.Var, bool) {
		value, ok := v.Place.File.Env[name]
		return variables.Var{Value: value}, ok
	}, variables.MaxValue)
	if err != nil {
		return v.Text
	}
	return x.Text
}

// inside says whether the path leads to something below the directory, links followed.
func inside(dir, path string) bool {
	rel, err := filepath.Rel(RealPath(dir), RealPath(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// RealPath follows the symbolic links of what there is of the path. It stays absolute if it is so.
func RealPath(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(RealPath(parent), filepath.Base(path))
}

// confine reports env files and label files that lead out of the remote resource whose services name them.
func (a *assembler) confine(root *tree.Value) {
	for _, section := range []string{"services", "jobs"} {
		services := root.Get(section)
		if services == nil {
			continue
		}
		for _, service := range services.Entries {
			for _, item := range items(service.Value.Get("env_file")) {
				if path := item.Get("path"); path.Scalar() {
					a.path(path)
				}
			}
			for _, item := range items(service.Value.Get("label_file")) {
				a.path(item)
			}
		}
	}
}

// items are the items of a list, none of anything else.
func items(v *tree.Value) []*tree.Value {
	if v == nil {
		return nil
	}
	return v.Items
}
