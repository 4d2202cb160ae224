package volume

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// source is what the options of Docker's local driver mean. The zero value is a plain directory.
type source struct {
	bind  string   // the directory of the host that is the volume
	tmpfs bool     // the volume is in memory, for as long as containers use it
	flags uintptr  // of the tmpfs
	data  []string // of the tmpfs
}

func parseOptions(opts map[string]string) (source, error) {
	for _, key := range slices.Sorted(maps.Keys(opts)) {
		switch key {
		case "type", "device", "o":
		case "size":
			return source{}, engine.Errorf(engine.ErrUnsupported, "the option \"size\" needs quotas, which there are not")
		default:
			return source{}, engine.Errorf(engine.ErrInvalid, "there is no option %q", key)
		}
	}
	if len(opts) == 0 {
		return source{}, nil
	}
	words := strings.FieldsFunc(opts["o"], func(r rune) bool { return r == ',' })
	bind := slices.Contains(words, "bind") || slices.Contains(words, "rbind")
	switch kind := opts["type"]; {
	case kind == "tmpfs":
		return tmpfsSource(words)
	case bind && (kind == "none" || kind == "" || kind == "bind"):
		return bindSource(opts["device"], words)
	default:
		return source{}, engine.Errorf(engine.ErrUnsupported, "the type %q with the options %q is not there, only tmpfs and none with bind", kind, opts["o"])
	}
}

func bindSource(device string, words []string) (source, error) {
	if !filepath.IsAbs(device) {
		return source{}, engine.Errorf(engine.ErrInvalid, "the device %q is not an absolute path", device)
	}
	for _, w := range words {
		if !slices.Contains([]string{"bind", "rbind", "rw"}, w) {
			return source{}, engine.Errorf(engine.ErrUnsupported, "the option %q of a bind is not there; give it to the mount", w)
		}
	}
	return source{bind: filepath.Clean(device)}, nil
}

var tmpfsFlags = map[string]uintptr{
	"rw": 0, "ro": unix.MS_RDONLY, "noexec": unix.MS_NOEXEC, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noatime": unix.MS_NOATIME,
	"exec": 0, "suid": 0, "dev": 0,
}

func tmpfsSource(words []string) (source, error) {
	s := source{tmpfs: true}
	for _, w := range words {
		key, _, hasValue := strings.Cut(w, "=")
		flag, isFlag := tmpfsFlags[w]
		switch {
		case isFlag:
			s.flags |= flag
		case hasValue && slices.Contains([]string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"}, key):
			s.data = append(s.data, w)
		default:
			return source{}, engine.Errorf(engine.ErrInvalid, "%q is no option of a tmpfs", w)
		}
	}
	return s, nil
}

// Path returns the directory to mount into containers. A volume of type tmpfs is mounted on the host by this call if
// it is not yet. ErrNotFound: there is no such volume. ErrInvalid: the host directory that it stands for is not there.
func (m *Manager) Path(name string) (path string, err error) {
	err = m.with(name, func(e *entry) error {
		path, err = m.prepare(e.rec)
		return err
	})
	return path, err
}

// prepare makes the volume's directory usable and returns it. The caller holds the volume.
func (m *Manager) prepare(r *record) (string, error) {
	src, err := parseOptions(r.Options)
	if err != nil {
		return "", engineErr(err, "cannot use volume %s: %w", r.Name, err)
	}
	dir := m.dir(r.Name)
	switch {
	case src.bind != "":
		if _, err := os.Stat(src.bind); err != nil {
			return "", engine.Errorf(engine.ErrInvalid, "cannot use volume %s: %w", r.Name, err)
		}
		return src.bind, nil
	case src.tmpfs:
		if err := mountTmpfs(dir, src); err != nil {
			return "", fmt.Errorf("cannot mount volume %s: %w", r.Name, err)
		}
	}
	return dir, nil
}

func mountTmpfs(dir string, src source) error {
	mounted, err := mountinfo.Mounted(dir)
	if err != nil || mounted {
		return err
	}
	return unix.Mount("tmpfs", dir, "tmpfs", src.flags, strings.Join(src.data, ","))
}

// Release is told when no running container uses the volume: a tmpfs is unmounted and with it what was in it.
func (m *Manager) Release(name string) error {
	return m.with(name, func(e *entry) error { return m.release(e.rec) })
}

func (m *Manager) release(r *record) error {
	src, err := parseOptions(r.Options)
	if err != nil || !src.tmpfs {
		return err
	}
	err = unix.Unmount(m.dir(r.Name), unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it is not mounted
		return fmt.Errorf("cannot unmount volume %s: %w", r.Name, err)
	}
	return nil
}
