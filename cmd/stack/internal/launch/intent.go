package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Intent is what somebody wanted who has stopped a project or parts of it, for a loop that keeps the project: it must not undo
// that. The zero value: nothing was stopped on purpose.
type Intent struct {
	Down    bool      `json:"down,omitempty"`    // the project was taken down
	Stopped []string  `json:"stopped,omitempty"` // services that are to be left alone, sorted
	PID     int       `json:"pid"`               // of who wanted it last
	At      time.Time `json:"at"`
}

// WriteIntent keeps the intent for a project, by its ProjectKey; run is the run directory. Whoever writes has the project's lock.
// An intent about nothing removes the file.
func WriteIntent(run, key string, i Intent) error {
	path := intentFile(run, key)
	if !i.Down && len(i.Stopped) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove the project's intent: %w", err)
		}
		return nil
	}
	data, err := json.Marshal(i)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path+".new", append(data, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the project's intent: %w", err)
	}
	return nil
}

// ReadIntent reads what WriteIntent has kept: the zero value if there is nothing.
func ReadIntent(run, key string) (Intent, error) {
	data, err := os.ReadFile(intentFile(run, key))
	if errors.Is(err, fs.ErrNotExist) {
		return Intent{}, nil
	}
	var i Intent
	if err == nil {
		err = json.Unmarshal(data, &i)
	}
	if err != nil {
		return Intent{}, fmt.Errorf("cannot read the project's intent: %w", err)
	}
	return i, nil
}

func intentFile(run, key string) string { return filepath.Join(OwnLocks(run).Dir, key+".intent") }
