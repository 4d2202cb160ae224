package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stackrun.dev/stack/engine"
)

// Prefixes of the Store's keys.
const (
	networkKey   = "network/"
	containerKey = "container/"
)

// load reads the Store.
func (m *Manager) load() error {
	records, err := m.store.All()
	if err != nil {
		return err
	}
	for key, value := range records {
		if id, ok := strings.CutPrefix(key, networkKey); ok {
			if err := m.loadNetwork(id, value); err != nil {
				return fmt.Errorf("network %s: %w", id, err)
			}
		}
	}
	var containers []*container
	for key, value := range records {
		if id, ok := strings.CutPrefix(key, containerKey); ok {
			c := &container{}
			if err := json.Unmarshal(value, c); err != nil {
				return fmt.Errorf("container %s: %w", id, err)
			}
			containers = append(containers, c)
		}
	}
	// A record that could not be deleted when its container gave everything back may contradict a later one, which
	// is then right.
	slices.SortFunc(containers, func(a, b *container) int { return b.Made.Compare(a.Made) })
	for _, c := range containers {
		if !m.restore(c) {
			if err := m.store.Delete(containerKey + c.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *Manager) loadNetwork(id string, value []byte) error {
	n := &segment{}
	if err := json.Unmarshal(value, &n.networkRecord); err != nil {
		return err
	}
	if old := m.networks[id]; old != nil {
		n.predefined = old.predefined
	}
	m.networks[id] = n
	return n.complete()
}

// restore enters a container that was recorded, unless what it had is gone or somebody else's.
func (m *Manager) restore(c *container) bool {
	m.containers[c.ID] = c
	recorded := c.Endpoints
	c.Endpoints = nil
	for _, e := range recorded {
		n := m.networks[e.Network]
		if n == nil || n.space == nil || n.space.Take(e.Address.Addr()) != nil {
			m.forget(c)
			return false
		}
		e.container, e.network = c, n
		n.endpoints[c.ID] = e
		c.Endpoints = append(c.Endpoints, e)
	}
	// A port that a later container has was handed over, and it was not recorded any more who had it before.
	c.Ports = slices.DeleteFunc(c.Ports, func(p *published) bool { return p.Waits == "" && m.ports.holder(p.Reservation) != nil })
	for _, p := range c.Ports {
		if p.Waits == "" {
			m.ports.hold(p.Reservation, c)
		}
	}
	return true
}

func (m *Manager) saveNetwork(n *segment) error {
	m.mu.Lock()
	value, err := json.Marshal(n.networkRecord)
	m.mu.Unlock()
	return m.put(networkKey+n.ID, value, err)
}

// saveContainer writes the container's record. If that fails, the sweeper tries again as long as the container is there.
func (m *Manager) saveContainer(c *container) error {
	c.saving.Lock()
	defer c.saving.Unlock()
	m.mu.Lock()
	value, err := json.Marshal(c)
	m.mu.Unlock()
	err = m.put(containerKey+c.ID, value, err)
	m.mu.Lock()
	c.unsaved = err != nil
	m.mu.Unlock()
	if err != nil {
		m.sweeper.later()
	}
	return err
}

// unrecord deletes the record of a container that has no sandbox any more. If that fails, the sweeper tries again.
func (m *Manager) unrecord(id string) error {
	if err := m.store.Delete(containerKey + id); err != nil {
		m.mu.Lock()
		m.forgotten[id] = true
		m.mu.Unlock()
		m.sweeper.later()
		return engine.Errorf(engine.ErrInternal, "cannot delete the record of container %s: %w", shortID(id), err)
	}
	return nil
}

// settleRecords tries again what could not be written or deleted before. Whoever makes a sandbox has to wait, so that
// its record is not the one that is deleted.
func (m *Manager) settleRecords() error {
	m.mu.Lock()
	var errs []error
	for id := range m.forgotten {
		if m.containers[id] == nil {
			if err := m.store.Delete(containerKey + id); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		delete(m.forgotten, id)
	}
	var unsaved []*container
	for _, c := range m.containers {
		if c.unsaved {
			unsaved = append(unsaved, c)
		}
	}
	m.mu.Unlock()
	for _, c := range unsaved {
		errs = append(errs, m.saveContainer(c))
	}
	return errors.Join(errs...)
}

func (m *Manager) put(key string, value []byte, err error) error {
	if err == nil {
		err = m.store.Put(key, value)
	}
	if err != nil {
		return engine.Errorf(engine.ErrInternal, "cannot record %s: %w", key, err)
	}
	return nil
}
