package snapshot

import (
	"context"
	"sync"
)

// keyedMutex is one mutex for each key that is in use. The zero value is ready.
type keyedMutex struct {
	mu   sync.Mutex
	keys map[string]*keyed
}

type keyed struct {
	token   chan struct{} // holds one element while the key is free
	waiters int
}

// lock waits until the key is free and takes it; the returned function frees it.
func (k *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.keys == nil {
		k.keys = map[string]*keyed{}
	}
	e := k.keys[key]
	if e == nil {
		e = &keyed{token: make(chan struct{}, 1)}
		e.token <- struct{}{}
		k.keys[key] = e
	}
	e.waiters++
	k.mu.Unlock()

	select {
	case <-e.token:
		return func() { e.token <- struct{}{}; k.leave(key, e) }, nil
	case <-ctx.Done():
		k.leave(key, e)
		return nil, ctx.Err()
	}
}

func (k *keyedMutex) leave(key string, e *keyed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e.waiters--; e.waiters == 0 {
		delete(k.keys, key)
	}
}
