package main

import (
	"bytes"
	"io"
	"sync"

	"github.com/moby/term"
)

// defaultDetachKeys are Docker's.
const defaultDetachKeys = "ctrl-p,ctrl-q"

// keyWatch passes input on and remembers how it ended. When a container's output ends, that tells whether the user has
// detached or the container has exited.
type keyWatch struct {
	io.Reader
	keys []byte

	mu   sync.Mutex
	tail []byte
}

// watchKeys watches for the keys that detach, in Docker's notation; "" are the default ones.
func watchKeys(in io.Reader, keys string) (*keyWatch, error) {
	if keys == "" {
		keys = defaultDetachKeys
	}
	sequence, err := term.ToBytes(keys)
	if err != nil {
		return nil, usagef("detach keys %q: %w", keys, err)
	}
	return &keyWatch{Reader: in, keys: sequence}, nil
}

func (k *keyWatch) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tail = append(k.tail, p[:n]...)
	k.tail = k.tail[max(0, len(k.tail)-len(k.keys)):]
	return n, err
}

// pressed reports whether the keys are the last that were read.
func (k *keyWatch) pressed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys) > 0 && bytes.Equal(k.tail, k.keys)
}
