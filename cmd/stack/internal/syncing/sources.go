package syncing

import (
	"maps"
	"slices"
	"sync"

	"stackrun.dev/stack/watch/session"
)

// sources remembers the files of the host that give trouble.
type sources struct {
	mu         sync.Mutex
	restless   map[string]int    // how many times in a row they were not as the tree had seen them
	unreadable map[string]string // why, as was told
}

// enough is how many times in a row a file may be another one than the tree has seen until what is in it at a moment is better
// than nothing.
const enough = 3

// impatient says whether a file has changed too often to wait for what the tree has seen.
func (s *sources) impatient(source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restless[source] >= enough
}

// note takes in how it was this time, and returns what is to be told, sorted by the files' names.
func (s *sources) note(files []session.File, unsettled map[string]bool, unreadable map[string]error) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.restless)+len(s.unreadable) > 0 {
		for i := range files {
			if !unsettled[files[i].Source] {
				delete(s.restless, files[i].Source)
			}
			if unreadable[files[i].Source] == nil {
				delete(s.unreadable, files[i].Source)
			}
		}
	}
	for source := range unsettled {
		s.restless[source]++
	}
	var tell []error
	for _, source := range slices.Sorted(maps.Keys(unreadable)) {
		if err := unreadable[source]; s.unreadable[source] != err.Error() {
			s.unreadable[source] = err.Error()
			tell = append(tell, err)
		}
	}
	return tell
}
