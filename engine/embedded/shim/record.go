package shim

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stackrun.dev/stack/engine/embedded/shim/protocol"
)

// record is what a successor needs to know of a container. It is written before each step that it tells of.
type record struct {
	Status  protocol.Status
	Pid     int    `json:",omitempty"`
	Started uint64 `json:",omitempty"` // pidfd.StartTime of the process
	User    identity
	At      time.Time `json:",omitzero"` // when the command was executed
	Request protocol.CreateRequest

	exit *protocol.ExitStatus // of a stopped one; a file of its own, because it is written last
}

// creating is the status of a container whose creation was not acknowledged.
const creating protocol.Status = "creating"

const (
	recordFile = "record"
	exitFile   = "exit"
	rootDir    = "rootfs"
)

func (s *Shim) writeRecord(r *record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Dir.Container(r.Request.ID), recordFile), b)
}

func (s *Shim) writeExit(id string, exit protocol.ExitStatus) error {
	b, err := json.Marshal(exit)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.Dir.Container(id), exitFile), b)
}

func (s *Shim) readRecord(id string) (*record, error) {
	dir := s.cfg.Dir.Container(id)
	var r record
	if err := readJSON(filepath.Join(dir, recordFile), &r); err != nil {
		return nil, err
	}
	var exit protocol.ExitStatus
	err := readJSON(filepath.Join(dir, exitFile), &exit)
	if err == nil {
		r.exit = &exit
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &r, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}
