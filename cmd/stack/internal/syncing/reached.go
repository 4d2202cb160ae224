package syncing

import (
	"slices"
	"sync"
)

// reached are the containers of each service in which its last Sync was done.
type reached struct {
	mu  sync.Mutex
	ids map[string][]string // by service
}

func (r *reached) note(service string, list []member, results []result) {
	var ids []string
	for i, m := range list {
		if results[i].reached {
			ids = append(ids, m.id)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = make(map[string][]string)
	}
	r.ids[service] = ids
}

// only leaves out of the list those in which it was not done.
func (r *reached) only(service string, list []member) []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(list, func(m member) bool { return !slices.Contains(r.ids[service], m.id) })
}
