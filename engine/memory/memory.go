// Package memory is an engine without processes: containers, networks, volumes and images are values, and what runs in a
// container is a Go function. It keeps the whole contract, the suite in enginetest included, so that code that works on it
// works on a real engine.
//
// It is made for tests. The same calls give the same IDs and addresses; every delay goes through package time, so that in
// a bubble of testing/synctest no time passes; and faults can be scripted with Inject.
package memory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"sync"
	"time"

	"stackrun.dev/stack/engine"
)

// Engine is an engine.Engine in memory. New makes it.
type Engine struct {
	programs map[string]Program // not changed after New

	mu         sync.Mutex // guards what follows; never held while a program or a caller's stream is waited for
	serial     int
	closed     bool
	containers map[string]*ctr
	execs      map[string]*execution
	networks   map[string]*nw
	volumes    map[string]*vol
	images     map[string]*img   // by ID
	tags       map[string]string // normalised reference -> image ID
	remote     map[string]*img   // what registries have, by normalised reference
	registries map[string]bool   // those that answer, by domain
	ports      map[hostPort]*ctr
	faults     []*Fault

	events  *hub
	running sync.WaitGroup // goroutines of containers
}

var _ engine.Engine = (*Engine)(nil)

// An Option changes how New makes an engine.
type Option func(*Engine)

// WithProgram adds a command, or replaces one of the standard ones. It is found by its base name in images that have an
// executable file of that name; AddImage makes such images.
func WithProgram(name string, run Program) Option {
	return func(e *Engine) { e.programs[name] = run }
}

// WithRegistry makes a registry answer, for example "127.0.0.1:5000". Docker Hub and those that AddRemoteImage filled do
// so anyway; the others are not there.
func WithRegistry(domain string) Option {
	return func(e *Engine) { e.registries[domain] = true }
}

// New makes an engine with the standard networks and no images.
func New(opts ...Option) *Engine {
	e := &Engine{
		programs:   maps.Clone(standardPrograms()),
		containers: map[string]*ctr{},
		execs:      map[string]*execution{},
		networks:   map[string]*nw{},
		volumes:    map[string]*vol{},
		images:     map[string]*img{},
		tags:       map[string]string{},
		remote:     map[string]*img{},
		registries: map[string]bool{"docker.io": true},
		ports:      map[hostPort]*ctr{},
		events:     newHub(),
	}
	for _, opt := range opts {
		opt(e)
	}
	e.addStandardNetworks()
	return e
}

// Close kills what runs and returns when nothing does any more. The engine cannot start containers afterwards.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	for _, c := range e.containers {
		c.manuallyStopped = true
		c.cancelRestart()
		if c.run != nil {
			c.run.kill()
		}
	}
	e.mu.Unlock()
	e.running.Wait()
	return nil
}

// newID makes an ID of 64 hexadecimal digits.
func (e *Engine) newID(kind string) string {
	e.serial++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, e.serial))
	return hex.EncodeToString(sum[:])
}

// now is the time as records have it.
func now() time.Time { return time.Now().UTC() }

func stamp(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00Z"
	}
	return t.UTC().Format(time.RFC3339Nano)
}
