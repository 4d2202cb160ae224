package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// record is what a successor needs to know of a container. Its file is a journal: the request, then one line for each
// step, written before the step is taken or told. A line that was cut off was not told to anybody.
type record struct {
	Request protocol.CreateRequest
	step
}

// step is one line of the journal. What is empty stays as it was.
type step struct {
	Status   protocol.Status      `json:",omitempty"`
	Pid      int                  `json:",omitempty"`
	Started  uint64               `json:",omitempty"` // pidfd.StartTime of the process
	User     *identity            `json:",omitempty"`
	At       time.Time            `json:",omitzero"` // when the command was executed
	Networks *[]string            `json:",omitempty"`
	Exit     *protocol.ExitStatus `json:",omitempty"`

	Ports *[]protocol.PortReservation `json:",omitempty"`
}

// creating is the status of a container whose creation was not acknowledged.
const creating protocol.Status = "creating"

const (
	recordFile = "record"
	rootDir    = "rootfs"
)

func (c *container) recordPath() string { return filepath.Join(c.dir(), recordFile) }

// begin begins the journal with the request as it came.
func (c *container) begin(request json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, request); err != nil { // without line ends
		return err
	}
	line.WriteByte('\n')
	return os.WriteFile(c.recordPath(), line.Bytes(), 0o600)
}

// note adds a step to the journal.
func (c *container) note(s step) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.recordPath(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// errNoRecord says that a journal was not even begun.
var errNoRecord = errors.New("no record")

func (s *Shim) readRecord(id string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(s.cfg.Dir.Container(id), recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	first, rest, whole := bytes.Cut(b, []byte("\n"))
	if !whole {
		return nil, errNoRecord
	}
	r := &record{step: step{Status: creating, User: &identity{}}}
	if err := json.Unmarshal(first, &r.Request); err != nil {
		return nil, err
	}
	for line := range bytes.Lines(rest) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if err := json.Unmarshal(line, &r.step); err != nil {
			return nil, err
		}
	}
	if r.Networks != nil && r.Request.Resolver != nil {
		r.Request.Resolver.Networks = *r.Networks
	}
	if r.Ports != nil {
		r.Request.Ports = *r.Ports
	}
	return r, nil
}
