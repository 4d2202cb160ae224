package container

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/docker/docker/pkg/namesgenerator"

	"stackrun.dev/stack/engine"
)

// Registry finds containers. Its methods may be called from several goroutines.
type Registry struct {
	store Store

	mu    sync.RWMutex
	byID  map[string]*Container
	names map[string]string // name to ID, of containers and of those being created
}

// OpenRegistry reads all records.
func OpenRegistry(store Store) (*Registry, error) {
	r := &Registry{store: store, byID: map[string]*Container{}, names: map[string]string{}}
	all, err := store.All()
	if err != nil {
		return nil, err
	}
	for id, data := range all {
		var record Record
		if err := json.Unmarshal(data, &record); err != nil {
			return nil, fmt.Errorf("cannot read the record of container %s: %w", id, err)
		}
		c := New(record, store)
		c.saved = c.version
		r.byID[id], r.names[record.Name] = c, id
	}
	return r, nil
}

var validName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// Reserve takes the name for the container id; "" is replaced by a generated name. ErrConflict: somebody has it.
func (r *Registry) Reserve(name, id string) (string, error) {
	name = strings.TrimPrefix(name, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == "" {
		return r.generate(id), nil
	}
	if !validName.MatchString(name) {
		return "", engine.Errorf(engine.ErrInvalid, "invalid container name %q: only [a-zA-Z0-9][a-zA-Z0-9_.-]+ are allowed", name)
	}
	if owner, taken := r.names[name]; taken && owner != id {
		return "", engine.Errorf(engine.ErrConflict,
			"the container name %q is already in use by container %s; remove or rename that container to use the name again", name, owner)
	}
	r.names[name] = id
	return name, nil
}

func (r *Registry) generate(id string) string {
	for try := range 6 {
		name := namesgenerator.GetRandomName(try)
		if _, taken := r.names[name]; !taken {
			r.names[name] = id
			return name
		}
	}
	name := id[:12]
	r.names[name] = id
	return name
}

// Free gives a name back if it is id's.
func (r *Registry) Free(name, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names[name] == id {
		delete(r.names, name)
	}
}

// Add makes the container, whose name is reserved, known.
func (r *Registry) Add(c *Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[c.ID] = c
}

// Drop forgets the container and frees its name.
func (r *Registry) Drop(c *Container) {
	name := c.Record().Name
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byID, c.ID)
	if r.names[name] == c.ID {
		delete(r.names, name)
	}
}

// Find returns the container with that ID, name or unambiguous beginning of the ID.
func (r *Registry) Find(ref string) (*Container, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.byID[ref]; c != nil {
		return c, nil
	}
	if c := r.byID[r.names[strings.TrimPrefix(ref, "/")]]; c != nil {
		return c, nil
	}
	var found *Container
	if isHex(ref) {
		for id, c := range r.byID {
			if !strings.HasPrefix(id, ref) {
				continue
			}
			if found != nil {
				return nil, engine.Errorf(engine.ErrInvalid, "multiple containers have an ID that begins with %s", ref)
			}
			found = c
		}
	}
	if found == nil {
		return nil, engine.Errorf(engine.ErrNotFound, "no such container: %s", ref)
	}
	return found, nil
}

func isHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}

// Get returns the container with exactly that ID, or nil.
func (r *Registry) Get(id string) *Container {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// All returns all containers, sorted by ID.
func (r *Registry) All() []*Container {
	r.mu.RLock()
	all := make([]*Container, 0, len(r.byID))
	for _, c := range r.byID {
		all = append(all, c)
	}
	r.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Container) int { return strings.Compare(a.ID, b.ID) })
	return all
}
