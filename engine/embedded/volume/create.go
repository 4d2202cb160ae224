package volume

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/docker/docker/api/types/volume"

	"stackrun.dev/stack/engine"
)

// anonymousLabel marks volumes that got no name from their user; it is Docker's.
const anonymousLabel = "com.docker.volume.anonymous"

// longestName is what a file system takes. It is not part of the expression, which would take half a millisecond of
// every start of the program to compile.
const longestName = 255

var nameFormat = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func validName(name string) bool { return len(name) <= longestName && nameFormat.MatchString(name) }

// Create makes the volume, or returns the one of that name with the same driver and options and false. An empty name
// is replaced by 64 random hexadecimal digits. ErrConflict: it exists with other options. ErrInvalid: the name or the
// options make no sense. ErrUnsupported: a driver or a type of file system that this engine does not have.
func (m *Manager) Create(opts volume.CreateOptions) (v volume.Volume, created bool, err error) {
	r := &record{
		Name: opts.Name, Labels: maps.Clone(opts.Labels), Options: maps.Clone(opts.DriverOpts),
		CreatedAt: time.Now().UTC().Format(time.RFC3339Nano),
	}
	if r.Name == "" {
		r.Name = randomName()
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[anonymousLabel] = ""
	}
	if err := checkCreate(r.Name, opts); err != nil {
		return v, false, err
	}
	e := m.lock(r.Name)
	defer m.unlock(r.Name, e)
	if e.rec != nil {
		if !maps.Equal(e.rec.Options, r.Options) {
			return v, false, engine.Errorf(engine.ErrConflict, "cannot create volume %s: it exists with the options %v, not %v",
				r.Name, e.rec.Options, r.Options)
		}
		return m.describe(e.rec), false, nil
	}
	if err := m.make(r); err != nil {
		return v, false, fmt.Errorf("cannot create volume %s: %w", r.Name, err)
	}
	m.set(e, r)
	return m.describe(r), true, nil
}

func checkCreate(name string, opts volume.CreateOptions) error {
	switch {
	case !validName(name):
		return engine.Errorf(engine.ErrInvalid, "cannot create volume %.300q: a name has letters, digits and _.- and begins with a letter or digit", name)
	case opts.Driver != "" && opts.Driver != "local":
		return engine.Errorf(engine.ErrUnsupported, "cannot create volume %s: there is no driver %q, only \"local\"", name, opts.Driver)
	case opts.ClusterVolumeSpec != nil:
		return engine.Errorf(engine.ErrUnsupported, "cannot create volume %s: there are no cluster volumes", name)
	}
	if _, err := parseOptions(opts.DriverOpts); err != nil {
		return engineErr(err, "cannot create volume %s: %w", name, err)
	}
	return nil
}

// engineErr keeps the kind of err under a longer text.
func engineErr(err error, format string, args ...any) error {
	var kind *engine.Error
	if errors.As(err, &kind) {
		return engine.Errorf(kind.Kind, format, args...)
	}
	return fmt.Errorf(format, args...)
}

// make creates the directory, then the record: without the record there is no volume.
func (m *Manager) make(r *record) error {
	if err := os.MkdirAll(m.dir(r.Name), 0o755); err != nil {
		m.dropEmpty(r.Name)
		return err
	}
	// The outer directory is the engine's, the inner one is what containers with any user see.
	if err := errors.Join(os.Chmod(filepath.Join(m.root, r.Name), 0o700), os.Chmod(m.dir(r.Name), 0o755)); err != nil {
		return err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := m.store.Put(r.Name, value); err != nil {
		m.dropEmpty(r.Name)
		return err
	}
	return nil
}

func randomName() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
