package docker

import (
	"bytes"
	"testing"
)

// A command that never stops complaining fills no memory, and is not held up.
func TestComplaintsAreBounded(t *testing.T) {
	var out beginning
	piece := bytes.Repeat([]byte("rm: no\n"), 10_000)
	for range 100 {
		if n, err := out.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(out.kept) != maxComplaints || !bytes.HasPrefix(out.kept, piece) {
		t.Errorf("%d bytes are kept", len(out.kept))
	}
}
