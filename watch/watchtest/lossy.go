package watchtest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"stackrun.dev/stack/watch"
)

// Lossy loses events of a source as the kernel does whose queue is full: a run of them does not come, and then it is told that
// events were lost.
type Lossy struct {
	watch.Source
	events  chan watch.Event
	closing chan struct{}
	ended   chan struct{}
	once    sync.Once
	losses  atomic.Int64
	random  *rand.Rand
	mean    int
}

// NewLossy makes one that owns the source. From every so many events on, in the mean, it loses up to twice as many.
func NewLossy(source watch.Source, seed uint64, mean int) *Lossy {
	l := &Lossy{
		Source: source, events: make(chan watch.Event), closing: make(chan struct{}), ended: make(chan struct{}),
		random: rand.New(rand.NewPCG(seed, seed)), mean: mean,
	}
	go l.run()
	return l
}

// Losses is how often events were lost.
func (l *Lossy) Losses() int { return int(l.losses.Load()) }

// Events implements watch.Source.
func (l *Lossy) Events() <-chan watch.Event { return l.events }

// Close implements watch.Source.
func (l *Lossy) Close() error {
	l.once.Do(func() { close(l.closing) })
	err := l.Source.Close()
	<-l.ended
	return err
}

func (l *Lossy) run() {
	defer close(l.ended)
	defer close(l.events)
	for e := range l.Source.Events() {
		if l.random.IntN(l.mean) == 0 {
			l.lose(1 + l.random.IntN(2*l.mean))
			e = watch.Event{Lost: true}
		}
		select {
		case l.events <- e:
		case <-l.closing:
		}
	}
}

// lose swallows up to so many events, but does not wait for those that may never come.
func (l *Lossy) lose(most int) {
	l.losses.Add(1)
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	for range most {
		select {
		case <-l.Source.Events():
		case <-timer.C:
			return
		case <-l.closing:
			return
		}
	}
}
