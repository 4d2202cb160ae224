// Package records keeps the states of a project between which "stack rollback" goes: the one that it was last brought to, and
// the one before. Each is a file that is replaced as a whole, so that whenever a process is killed both can be read.
//
// Whoever changes a store has the project's lock.
package records

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stackrun.dev/stack/convergence/record"
)

// Store is the directory of one project.
type Store struct{ Dir string }

// Of is the store of a project; root is the folder of the engine's state, key the project's launch.ProjectKey.
func Of(root, key string) Store { return Store{filepath.Join(root, "projects", key)} }

const (
	currentName  = "current.json"
	previousName = "previous.json"
	attemptName  = "attempt.json"
)

// Current is the state that the project was last brought to; nil: none is known.
func (s Store) Current() (*record.Record, error) { return s.read(currentName) }

// Previous is the state before; nil: none is known.
func (s Store) Previous() (*record.Record, error) { return s.read(previousName) }

func (s Store) read(name string) (*record.Record, error) {
	path := filepath.Join(s.Dir, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what is kept of the project: %w", err)
	}
	r, err := record.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w; the next up that changes something replaces it", path, err)
	}
	return r, nil
}

// Attempt is a run that has begun to change the project and did not come to its end, whatever became of it.
type Attempt struct {
	At       time.Time `json:"at"`
	Services []string  `json:"services"`           // that it was about, and those of attempts before it, sorted
	Rollback bool      `json:"rollback,omitempty"` // it was on the way to the previous state

	// Wishes are what it was for, and attempts before it.
	Wishes []record.Wish `json:"wishes,omitempty"`
}

// Repairs says that the attempt has only tried to have the state again.
func (a *Attempt) Repairs(state *record.Record) bool {
	return len(a.Wishes) > 0 && !slices.ContainsFunc(a.Wishes, func(w record.Wish) bool { return !state.Grants(w) })
}

// Attempt is the one that is not over; nil: the project is, or was, as the current state says. Of one whose note was damaged, as
// when the machine lost its power, no more is known than that there was one.
func (s Store) Attempt() (*Attempt, error) {
	text, err := os.ReadFile(filepath.Join(s.Dir, attemptName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read what is kept of the project: %w", err)
	}
	a := &Attempt{}
	if json.Unmarshal(text, a) != nil {
		return &Attempt{}, nil
	}
	return a, nil
}

// Begin notes that a run is about to change the project. Keep or Settle ends it.
func (s Store) Begin(a Attempt) error {
	if before, err := s.Attempt(); err == nil && before != nil {
		a.Services = append(slices.Clone(a.Services), before.Services...)
		for _, w := range before.Wishes {
			if !slices.ContainsFunc(a.Wishes, func(other record.Wish) bool { return maps.Equal(w, other) }) {
				a.Wishes = append(slices.Clip(a.Wishes), w)
			}
		}
	}
	slices.Sort(a.Services)
	a.Services = slices.Compact(a.Services)
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := s.stage(attemptName, append(text, '\n'), false); err != nil {
		return err
	}
	return s.replace(attemptName)
}

// Settle notes that the project is as the current state says.
func (s Store) Settle() error { return s.remove(attemptName) }

// Keep notes that the project has come to the state of a run. If the run, or an attempt before it, has changed something, the
// state before becomes the previous one; but a run that only repairs comes to the state that there was.
func (s Store) Keep(r *record.Record, changed bool) error {
	attempt, err := s.Attempt()
	changed = changed || attempt != nil || err != nil
	if !changed && s.has(currentName) {
		return nil
	}
	current, err := s.Current()
	if err != nil {
		current = nil // it is of no use, and makes place for one that is
	}
	r = r.Over(current)
	return s.put(r, changed && current != nil && !record.Same(current, r))
}

// Turn makes the state the current one and the one that was so far the previous one.
func (s Store) Turn(r *record.Record) error { return s.put(r, true) }

func (s Store) has(name string) bool {
	_, err := os.Stat(filepath.Join(s.Dir, name))
	return err == nil
}

// put writes the new state beside the others first. Killed after any of the steps, there are a current and a previous state: at
// first the old ones, then twice the old current one, then the new ones.
func (s Store) put(r *record.Record, rotate bool) error {
	text, err := record.Encode(r)
	if err != nil {
		return err
	}
	if err := s.stage(currentName, text, true); err != nil {
		return err
	}
	if rotate {
		if err := s.duplicate(currentName, previousName); err != nil {
			return err
		}
	}
	if err := s.Settle(); err != nil {
		return err
	}
	return s.replace(currentName)
}

// duplicate gives the file a second name, which another one may have had.
func (s Store) duplicate(name, second string) error {
	if err := s.remove(next(second)); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(s.Dir, name), filepath.Join(s.Dir, next(second))); err != nil {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	return s.replace(second)
}

// replace gives what was staged its name.
func (s Store) replace(name string) error {
	if err := os.Rename(filepath.Join(s.Dir, next(name)), filepath.Join(s.Dir, name)); err != nil {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	return nil
}

func (s Store) remove(name string) error {
	if err := os.Remove(filepath.Join(s.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	return nil
}

// stage writes what is to be renamed to name. Only its owner may read it. What has to outlive the machine is on the disk when
// stage returns.
func (s Store) stage(name string, text []byte, sync bool) error {
	err := os.MkdirAll(s.Dir, 0o700)
	if err != nil {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.Dir, next(name)), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	_, err = f.Write(text)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot keep the state of the project: %w", err)
	}
	return nil
}

// next is what a file is called before it takes the place of another.
func next(name string) string { return name + ".next" }

// Drop forgets the project.
func (s Store) Drop() error {
	if err := os.RemoveAll(s.Dir); err != nil {
		return fmt.Errorf("cannot remove what is kept of the project: %w", err)
	}
	return nil
}
