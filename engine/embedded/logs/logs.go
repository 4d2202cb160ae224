// Package logs writes what containers say into files in the format of Docker's json-file driver: one JSON object per
// line with the fields log, stream and time. Every tool that reads Docker's files reads these.
//
// The writer is part of the shim and therefore imports nothing but the standard library. The reader is the package
// logs/reader. The two share no memory: a file can be read while it is written, by any process, and a line that a
// crash left half written is skipped.
package logs

// PartialSize is the number of bytes at which a long line is split into several entries, as Docker does. All but the
// last of them have no newline.
const PartialSize = 16 << 10

// Config says where a container's log is and how large it may grow.
type Config struct {
	Path    string // the current file; older ones are Path.1 (younger) to Path.<MaxFile-1> (oldest)
	MaxSize int64  // bytes at which a new file is begun; 0 for never
	MaxFile int    // number of files that are kept, the current one included; below 1 counts as 1
}
