package embedded

import (
	"context"
	"net/netip"
	"sync"

	"stackrun.dev/stack/engine/embedded/runtime"
)

// namePusher brings the tables of names to the shims. Pushes that are asked for while one is under way share the next:
// fifty containers that start at once cost a few.
type namePusher struct {
	engine *Engine

	mu     sync.Mutex
	active bool
	next   *pushed // what those who ask now wait for; nil if nobody does
	known  map[string]bool
}

type pushed struct {
	done chan struct{}
	err  error
}

func newNamePusher(e *Engine) *namePusher { return &namePusher{engine: e, known: map[string]bool{}} }

// push returns when a table that was made after the call has reached the shims.
func (p *namePusher) push(ctx context.Context) error {
	p.mu.Lock()
	if p.next == nil {
		p.next = &pushed{done: make(chan struct{})}
	}
	mine, start := p.next, !p.active
	p.active = true
	p.mu.Unlock()
	if start {
		p.drain(context.WithoutCancel(ctx), mine)
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain pushes until the first one is done, and leaves the rest, if there is any, to a goroutine.
func (p *namePusher) drain(ctx context.Context, first *pushed) {
	for {
		p.mu.Lock()
		round := p.next
		p.next = nil
		if round == nil {
			p.active = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		round.err = p.pushOnce(ctx)
		close(round.done)
		if round == first {
			go p.drain(ctx, nil)
			return
		}
	}
}

func (p *namePusher) pushOnce(ctx context.Context) error {
	tables := p.engine.nameTables()
	p.mu.Lock()
	for network := range p.known {
		if _, still := tables[network]; !still {
			tables[network] = runtime.NetworkNames{} // tells the shims to forget it
			delete(p.known, network)
		}
	}
	for network, table := range tables {
		if len(table.Hosts) > 0 {
			p.known[network] = true
		}
	}
	p.mu.Unlock()
	return p.engine.runtime.SetNames(ctx, tables)
}

// nameTables are the names that the networks know, with the name that each address is shown with.
func (e *Engine) nameTables() runtime.Names {
	tables := runtime.Names{}
	for network, hosts := range e.networks.Names() {
		tables[network] = runtime.NetworkNames{Hosts: hosts, Reverse: map[netip.Addr]string{}}
	}
	for _, c := range e.containers.All() {
		r := c.Record()
		for name, endpoint := range r.Live {
			address, err := netip.ParseAddr(endpoint.IPAddress)
			if table, ok := tables[endpoint.NetworkID]; ok && err == nil {
				table.Reverse[address] = r.Name + "." + name
			}
		}
	}
	return tables
}
