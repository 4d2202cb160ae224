// Package filter compiles seccomp profiles to what the kernel takes, once per profile.
package filter

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stackrun.dev/stack/engine/embedded/shim/stub"
)

// ErrDynamic says that a profile cannot be compiled beforehand because it asks a process at run time.
var ErrDynamic = errors.New("the seccomp profile notifies a listener")

// format changes with what compile makes of a profile.
const format = "1"

// Program is a compiled profile.
type Program struct {
	Instructions []stub.Instruction
	Flags        uint32 // SECCOMP_FILTER_FLAG_ of linux/seccomp.h
}

// Cache keeps compiled profiles in memory and in a directory. It may be used from several goroutines.
type Cache struct {
	dir  string
	mu   sync.Mutex
	done map[string]*entry
}

type entry struct {
	once    sync.Once
	program *Program
	err     error
}

// NewCache keeps its files in dir, which is made when it is needed.
func NewCache(dir string) *Cache { return &Cache{dir: dir, done: map[string]*entry{}} }

// Compile returns the program for the profile.
func (c *Cache) Compile(profile *specs.LinuxSeccomp) (*Program, error) {
	if profile.ListenerPath != "" || uses(profile, specs.ActNotify) {
		return nil, ErrDynamic
	}
	key, err := hash(profile)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	e := c.done[key]
	if e == nil {
		e = &entry{}
		c.done[key] = e
	}
	c.mu.Unlock()
	e.once.Do(func() { e.program, e.err = c.load(key, profile) })
	return e.program, e.err
}

func (c *Cache) load(key string, profile *specs.LinuxSeccomp) (*Program, error) {
	flags, err := flagBits(profile.Flags)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.dir, key)
	raw, err := os.ReadFile(path)
	if err != nil || !intact(raw) {
		code, err := compile(profile)
		if err != nil {
			return nil, fmt.Errorf("cannot compile the seccomp profile: %w", err)
		}
		sum := sha256.Sum256(code)
		raw = append(sum[:], code...)
		_ = c.save(path, raw) // it is a cache: without it the next shim compiles again
	}
	raw = raw[sha256.Size:]
	p := &Program{Flags: flags, Instructions: make([]stub.Instruction, len(raw)/8)}
	if err := binary.Read(bytes.NewReader(raw), binary.NativeEndian, p.Instructions); err != nil {
		return nil, err
	}
	return p, nil
}

// intact tells whether a cached file is whole; a power cut may have left less.
func intact(raw []byte) bool {
	if len(raw) <= sha256.Size || (len(raw)-sha256.Size)%8 != 0 {
		return false
	}
	sum := sha256.Sum256(raw[sha256.Size:])
	return bytes.Equal(sum[:], raw[:sha256.Size])
}

func (c *Cache) save(path string, raw []byte) error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, "new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func hash(profile *specs.LinuxSeccomp) (string, error) {
	b, err := json.Marshal(profile)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(format+version()+"\n"), b...))
	return hex.EncodeToString(sum[:16]), nil
}

func uses(profile *specs.LinuxSeccomp, action specs.LinuxSeccompAction) bool {
	if profile.DefaultAction == action {
		return true
	}
	for _, s := range profile.Syscalls {
		if s.Action == action {
			return true
		}
	}
	return false
}

// The flags that concern a single-threaded process which executes right afterwards; values from linux/seccomp.h.
var flagValues = map[specs.LinuxSeccompFlag]uint32{
	"SECCOMP_FILTER_FLAG_TSYNC":        0,
	specs.LinuxSeccompFlagLog:          1 << 1,
	specs.LinuxSeccompFlagSpecAllow:    1 << 2,
	"SECCOMP_FILTER_FLAG_NEW_LISTENER": 0,
}

func flagBits(flags []specs.LinuxSeccompFlag) (bits uint32, err error) {
	for _, f := range flags {
		v, ok := flagValues[f]
		if !ok {
			return 0, fmt.Errorf("seccomp flag %s is not supported", f)
		}
		bits |= v
	}
	return bits, nil
}
