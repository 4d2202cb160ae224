package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// NoteUp notes that this process brings a project up, by its ProjectKey, for runs that keep it as somebody wished before. run is
// the run directory. Whoever notes it has the project's lock.
func NoteUp(run, key string) error {
	path := lastUpFile(run, key)
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("cannot note who brings the project up: %w", err)
	}
	return nil
}

// LastUp is which process has noted that last, and when; 0 if none has.
func LastUp(run, key string) (pid int, at time.Time) {
	path := lastUpFile(run, key)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, time.Time{}
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(text))) // what is no number is nobody
	return pid, info.ModTime()
}

func lastUpFile(run, key string) string { return filepath.Join(run, "ups", key) }
