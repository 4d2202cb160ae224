package reader

import (
	"context"
	"iter"

	"stackrun.dev/stack/engine"
)

// Read yields the entries of the log at path, oldest first. A log that is not there is empty. A cancelled context ends
// the sequence with the context's error.
func Read(ctx context.Context, path string, opts Options) iter.Seq2[engine.LogEntry, error] {
	return func(yield func(engine.LogEntry, error) bool) {
		yield(engine.LogEntry{}, engine.Errorf(engine.ErrUnsupported, "cannot read the log %s: not built yet", path))
	}
}
