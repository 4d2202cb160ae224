package files

import (
	"fmt"
	"io"
	"testing"
)

// beside calls do at each reading.
type beside struct {
	io.Reader
	do func()
}

func (r beside) Read(p []byte) (int, error) {
	r.do()
	return r.Reader.Read(p)
}

// What was replaced is held while more comes, in bounds, and no longer than that: whoever holds a file keeps its file system.
func TestReplacedFilesAreHeldInBounds(t *testing.T) {
	for _, n := range []int{heldReplaced / 2, heldReplaced, 3*heldReplaced + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			root, _, _ := tree(t)
			var files []entry
			for i := range n {
				files = append(files, file(fmt.Sprint("/data/", i), "0"))
			}
			must(t, syncTo(t, root, nil, files...))
			before, most := openFiles(t), 0
			content := beside{archive(t, files...), func() { most = max(most, openFiles(t)-before) }}
			must(t, Sync(t.Context(), root, content, SyncOptions{Temporary: temporary}))
			if after := openFiles(t); after != before {
				t.Errorf("%d files are open, %d were before", after, before)
			}
			if limit := 2*heldReplaced + 10; most > limit {
				t.Errorf("up to %d files are open, want at most %d", most, limit)
			}
		})
	}
}
