package build

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	continuity "github.com/containerd/continuity/fs"
	"github.com/moby/buildkit/executor"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// stepMount turns what RUN --mount asked for into a mount that needs nothing mounted on the host: a directory, a file,
// or an overlay of directories. A source path inside several layers is looked up in them as overlayfs would.
func (e *stepExecutor) stepMount(ctx context.Context, m executor.Mount, cleanup *cleanups) (specs.Mount, error) {
	mounts, shared, err := rawMountsShared(ctx, m, cleanup)
	if err != nil {
		return specs.Mount{}, err
	}
	if shared && path.Join("/", m.Selector) != "/" {
		// Another step could exchange the path for a symbolic link to the host's files before it is mounted.
		return specs.Mount{}, engine.Errorf(engine.ErrUnsupported, "a source path inside a mount that steps write to")
	}
	if len(mounts) != 1 {
		return specs.Mount{}, engine.Errorf(engine.ErrInternal, "%d mounts where one was expected", len(mounts))
	}
	raw := mounts[0]
	out := specs.Mount{Destination: path.Join("/", m.Dest), Type: raw.Type, Source: raw.Source, Options: raw.Options}
	switch raw.Type {
	case "bind":
		if ownMount(filepath.Dir(raw.Source)) {
			if raw.Source, err = e.copySecret(raw.Source, cleanup); err != nil {
				return out, err
			}
		}
		return within(out, raw, m)
	case "overlay":
		return withinLayers(out, raw, m)
	default: // tmpfs
		return out, nil
	}
}

// within narrows a directory to the path that was asked for, which its symbolic links cannot lead out of.
func within(out specs.Mount, raw mount.Mount, m executor.Mount) (specs.Mount, error) {
	source, err := continuity.RootPath(raw.Source, m.Selector)
	if err != nil {
		return out, err
	}
	if _, err := os.Lstat(source); err != nil {
		return out, notThere(m, err)
	}
	out.Source = source
	out.Options = withReadonly(raw.Options, m.Readonly)
	return out, nil
}

func withinLayers(out specs.Mount, raw mount.Mount, m executor.Mount) (specs.Mount, error) {
	readonly := m.Readonly || raw.ReadOnly() || option(raw, "upperdir") == ""
	whole := path.Join("/", m.Selector) == "/"
	switch {
	case !readonly && whole:
		return out, nil
	case !readonly:
		return out, engine.Errorf(engine.ErrUnsupported, "a writable mount of a path inside another stage")
	}
	dirs, file, err := lookup(layersOf(raw), m.Selector)
	if err != nil {
		return out, notThere(m, err)
	}
	switch {
	case file != "":
		out.Type, out.Source, out.Options = "bind", file, []string{"rbind", "ro"}
	case len(dirs) == 1:
		out.Type, out.Source, out.Options = "bind", dirs[0], []string{"rbind", "ro"}
	default:
		out.Options = []string{"lowerdir=" + strings.Join(dirs, ":"), "ro"}
	}
	return out, nil
}

func notThere(m executor.Mount, err error) error {
	if os.IsNotExist(err) {
		return engine.Errorf(engine.ErrInvalid, "%s is not there", path.Join("/", m.Selector))
	}
	return err
}

func withReadonly(options []string, readonly bool) []string {
	out := make([]string, 0, len(options)+1)
	for _, o := range options {
		if o != "rw" && o != "ro" || !readonly {
			out = append(out, o)
		}
	}
	if readonly {
		out = append(out, "ro")
	}
	return out
}

// maxLinks is how many symbolic links a path may lead through.
const maxLinks = 40

// lookup finds a path in layers, the topmost first. It is either one file or the directories that make up one.
func lookup(layers []string, name string) (dirs []string, file string, err error) {
	parts := split(name)
	dirs = layers
	var walked []string
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		next, entry, mode, err := step(dirs, part)
		if err != nil {
			return nil, "", err
		}
		switch {
		case mode.IsDir():
			dirs, walked = next, append(walked, part)
		case mode&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return nil, "", unix.ELOOP
			}
			target, err := os.Readlink(entry)
			if err != nil {
				return nil, "", err
			}
			if !path.IsAbs(target) {
				target = path.Join("/", path.Join(walked...), target)
			}
			parts = append(split(target), parts...)
			dirs, walked = layers, nil
		case len(parts) > 0:
			return nil, "", unix.ENOTDIR
		default:
			return nil, entry, nil
		}
	}
	return dirs, "", nil
}

func split(name string) []string {
	clean := strings.Trim(path.Clean("/"+name), "/")
	if clean == "" {
		return nil
	}
	return strings.Split(clean, "/")
}

// step looks one name up in the directories that make up one directory.
func step(dirs []string, name string) (next []string, entry string, mode fs.FileMode, err error) {
	for _, dir := range dirs {
		p := filepath.Join(dir, name)
		info, err := os.Lstat(p)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, "", 0, err
		}
		if isWhiteout(info) {
			break
		}
		if !info.IsDir() {
			if len(next) == 0 {
				return nil, p, info.Mode(), nil
			}
			break
		}
		next = append(next, p)
		if isOpaque(p) {
			break
		}
	}
	if len(next) == 0 {
		return nil, "", 0, fs.ErrNotExist
	}
	return next, next[0], fs.ModeDir, nil
}

// isWhiteout says whether the entry hides what is below it: overlayfs uses a character device 0/0.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

func isOpaque(dir string) bool {
	var value [1]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", value[:])
	return err == nil && n == 1 && value[0] == 'y'
}
