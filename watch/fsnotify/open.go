package fsnotify

import (
	"errors"
	"fmt"

	"stackrun.dev/stack/watch"
	"stackrun.dev/stack/watch/poll"
)

// Open makes a source of all that can be watched on this machine: what the kernel does not tell is polled. told hears once of each
// reason why something is polled, as an error that says what to do about it.
func Open(told func(error)) watch.Source {
	polling := poll.New(poll.Interval)
	kernel, err := New()
	if err != nil {
		if limit := (*watch.Limit)(nil); errors.As(err, &limit) {
			err = limit
		}
		told(fmt.Errorf("all directories are polled: %w", err))
		return polling
	}
	return watch.NewFallback(kernel, polling, told)
}
