package launch

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
)

// greeting is what a starting engine writes into the pipe that its starter handed down.
type greeting struct {
	Socket string `json:"socket,omitempty"`
	Error  string `json:"error,omitempty"`
}

// readiness tells the starter, once.
type readiness struct {
	file *os.File
	once sync.Once
}

func (r *readiness) tell(t Target, err error) {
	if r.file == nil {
		return
	}
	r.once.Do(func() {
		g := greeting{Socket: t.Socket()}
		if err != nil {
			g = greeting{Error: err.Error()}
		}
		// A starter that has gone away in the meantime does not matter to the engine.
		_ = json.NewEncoder(r.file).Encode(g)
		_ = r.file.Close()
	})
}

// errSilent means that the engine ended without a word.
var errSilent = errors.New("the engine ended before it was ready")

// startError is what a starting engine said kept it from starting.
type startError string

func (e startError) Error() string { return string(e) }

// awaitReady reads the greeting.
func awaitReady(r io.Reader) error {
	var g greeting
	if err := json.NewDecoder(r).Decode(&g); err != nil {
		return errSilent
	}
	if g.Error != "" {
		return startError(g.Error)
	}
	return nil
}
