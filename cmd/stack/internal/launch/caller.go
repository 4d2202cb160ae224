package launch

import (
	"errors"

	"golang.org/x/sys/unix"
)

// forgetCaller undoes what the shell of whoever needed an engine first has set by nice or ulimit. It would hold for the engine and for all
// containers, and whose command happens to be the first is no business of theirs. What is not permitted stays.
func forgetCaller() {
	_ = unix.Setpriority(unix.PRIO_PGRP, 0, 0) // the group is this process, with all its threads
	for _, resource := range []int{
		unix.RLIMIT_AS, unix.RLIMIT_CPU, unix.RLIMIT_DATA, unix.RLIMIT_FSIZE, unix.RLIMIT_LOCKS, unix.RLIMIT_NPROC, unix.RLIMIT_RSS,
	} {
		unlimit(resource)
	}
}

// unlimit raises a limit as far as it is permitted.
func unlimit(resource int) {
	none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(resource, &none); !errors.Is(err, unix.EPERM) {
		return
	}
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) == nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(resource, &limit)
	}
}
