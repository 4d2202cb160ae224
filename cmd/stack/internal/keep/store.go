package keep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Dir is where an engine remembers what it keeps, by its state root.
func Dir(root string) string { return filepath.Join(root, "keep") }

// Known says whether an engine keeps a project, without asking it.
func Known(root, project string) bool {
	_, err := os.Stat(store{Dir(root)}.file(project))
	return err == nil
}

// Read is what the engine of the state root keeps of a project.
func Read(root, project string) (Entry, error) { return store{Dir(root)}.read(project) }

// BootID names the boot of the machine; empty where the kernel does not tell.
func BootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text))
}

// store has a file for each project. They hold environments: nobody else may read them.
type store struct{ dir string }

const suffix = ".json"

func (s store) file(project string) string { return filepath.Join(s.dir, project+suffix) }

// nameable is what a project's name consists of, so that it cannot lead elsewhere as a file's.
var nameable = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// load reads all entries. One that cannot be read is left where it is, and left out.
func (s store) load() ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("cannot list the kept projects: %w", err)
	}
	var out []Entry
	for _, file := range files {
		e, err := s.read(strings.TrimSuffix(filepath.Base(file), suffix))
		if err != nil {
			slog.Error(err.Error())
			continue
		}
		out = append(out, e)
	}
	return out, nil
}

func (s store) read(project string) (Entry, error) {
	var e Entry
	text, err := os.ReadFile(s.file(project))
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err == nil && e.Project != project {
		err = fmt.Errorf("it is about project %q", e.Project)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("cannot read how project %s is kept: %w", project, err)
	}
	return e, nil
}

func (s store) save(e Entry) error {
	if !nameable.MatchString(e.Project) {
		return fmt.Errorf("%q is not a project's name", e.Project)
	}
	text, err := json.Marshal(e)
	if err == nil {
		err = os.MkdirAll(s.dir, 0o700)
	}
	path := s.file(e.Project)
	if err == nil {
		err = replace(path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("cannot remember that project %s is kept: %w", e.Project, err)
	}
	return nil
}

// replace writes a file so that it is the old one or the new one, whenever the process or the machine ends.
func replace(path string, text []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func (s store) remove(project string) error {
	if err := os.Remove(s.file(project)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot forget that project %s is kept: %w", project, err)
	}
	return nil
}
