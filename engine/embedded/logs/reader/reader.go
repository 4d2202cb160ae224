// Package reader reads the files that package logs, or Docker's json-file driver, writes: from the start or the last
// entries only, and further as they are written, across rotations. It waits for the kernel's file events and never
// polls.
package reader

import "time"

// Options says what to read. The zero value reads nothing, since no stream is chosen.
type Options struct {
	Tail           int       // the number of entries to begin with, counted from the end; below 0 for all
	Since          time.Time // entries before it are left out; zero for no limit
	Until          time.Time // entries after it are left out and end the sequence; zero for no limit
	Stdout, Stderr bool      // the streams that are wanted

	// Follow goes on with what is written later, until Done is closed and the last entry was read.
	Follow bool
	Done   <-chan struct{} // closed when nothing more is written; nil for never
}
