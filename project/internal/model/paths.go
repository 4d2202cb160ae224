package model

import (
	"os"
	"path/filepath"
	"strings"

	"stackrun.dev/stack/project/internal/tree"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/compose-spec/compose-go/v2/utils"
)

// dir is where the relative paths start that are written at the place.
func (b *builder) dir(at tree.Place) string {
	if at.File != nil && at.File.Dir != "" {
		return at.File.Dir
	}
	return b.Dir
}

// relocated is a relative path that stays one, as seen from the project's directory: the model has no other. One of a remote
// file is absolute, because its place has nothing to do with the project's.
func (b *builder) relocated(v *tree.Value, path string) string {
	at := placeOf(v)
	dir := b.dir(at)
	if path == "" || path[0] == '~' || dir == b.Dir || b.Dir == "" || filepath.IsAbs(path) || windowsPath(path) {
		return path
	}
	if rel, err := filepath.Rel(b.Dir, dir); err == nil && at.File.Root == "" {
		dir = rel
	}
	return filepath.Join(dir, path)
}

// absolute is a path of this machine. Nothing stays nothing.
func (b *builder) absolute(v *tree.Value, path string) string {
	if b.NoPathResolution {
		return b.relocated(v, path)
	}
	path = b.expand(path)
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir(placeOf(v)), path)
}

// anywhere is a path that may be one of Windows, where the engine may run.
func (b *builder) anywhere(v *tree.Value, path string) string {
	if b.NoPathResolution {
		return b.relocated(v, path)
	}
	path = b.expand(path)
	if filepath.IsAbs(path) || windowsPath(path) {
		return path
	}
	return filepath.Join(b.dir(placeOf(v)), path)
}

func placeOf(v *tree.Value) tree.Place {
	if v == nil {
		return tree.Place{}
	}
	return v.Place
}

// expand replaces a leading ~ by the home directory, if it is known.
func (b *builder) expand(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok {
		return path
	}
	home := b.Env["HOME"]
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	if home == "" {
		return path
	}
	return filepath.Join(home, rest)
}

// windowsPath says whether the path is absolute on Windows: C:\x, C:/x or \\server\share.
func windowsPath(p string) bool {
	separator := func(i int) bool { return i < len(p) && (p[i] == '\\' || p[i] == '/') }
	return separator(0) && separator(1) || len(p) > 2 && p[1] == ':' && separator(2)
}

// remotePrefixes begin the contexts that BuildKit fetches itself.
var remotePrefixes = [...]string{"https://", "http://", "git://", "ssh://", "github.com/", "git@", types.ServicePrefix}

// context is a build context, which may be an address.
func (b *builder) context(at *tree.Value, context string) string {
	if strings.Contains(context, "://") {
		return context
	}
	for _, prefix := range remotePrefixes {
		if strings.HasPrefix(context, prefix) {
			return context
		}
	}
	return b.absolute(at, context)
}

func (b *builder) containerPaths(c *types.ContainerSpec, v *tree.Value) {
	files := v.Get("env_file")
	for i := range c.EnvFiles {
		c.EnvFiles[i].Path = b.absolute(files.Items[i].Get("path"), c.EnvFiles[i].Path)
	}
	files = v.Get("label_file")
	for i := range c.LabelFiles {
		c.LabelFiles[i] = b.absolute(files.Items[i], c.LabelFiles[i])
	}
	mounts := v.Get("volumes")
	for i := range c.Volumes {
		b.mountPath(&c.Volumes[i], mounts.Items[i])
	}
}

func (b *builder) mountPath(m *types.ServiceVolumeConfig, v *tree.Value) {
	if m.Type != types.VolumeTypeBind {
		return
	}
	source := v.Get("source")
	if source == nil {
		b.mistake(v.Place, "missing-key", "write source: with the path to mount", "a mount of the type bind has no source")
		return
	}
	m.Source = b.anywhere(source, m.Source)
}

// buildPaths makes a build's paths absolute. A context that is not written is where the file is that has the build.
func (b *builder) buildPaths(c *types.BuildConfig, v *tree.Value) {
	context := v.Get("context")
	if context == nil {
		context = &tree.Value{Place: notExtended(v.Place)}
	}
	c.Context = b.context(context, c.Context)
	more := v.Get("additional_contexts")
	for name, context := range c.AdditionalContexts {
		c.AdditionalContexts[name] = b.context(more.Get(name), context)
	}
	keys := v.Get("ssh")
	for i := range c.SSH {
		if key := &c.SSH[i]; keys.Get(key.ID).Scalar() {
			key.Path = b.anywhere(keys.Get(key.ID), key.Path)
		}
	}
}

// notExtended is the place, or the one that extends it: a service that extends another one fills in what neither says.
func notExtended(at tree.Place) tree.Place {
	for at.File != nil && at.File.Via != nil && at.File.Via.Kind == "extended" {
		at = at.File.Via.Place
	}
	return at
}

// developPaths also follows symbolic links, as file events name the files that there are.
func (b *builder) developPaths(d *types.DevelopConfig, watch *tree.Value) {
	if d == nil {
		return
	}
	for i := range d.Watch {
		path := watch.Items[i].Get("path")
		abs := b.absolute(path, d.Watch[i].Path)
		if b.NoPathResolution {
			d.Watch[i].Path = abs
			continue
		}
		real, err := utils.ResolveSymbolicLink(abs)
		if err != nil {
			b.mistake(placeOf(path), "unreadable-path", "", "cannot follow the path: %v", err)
			continue
		}
		d.Watch[i].Path = real
	}
}
