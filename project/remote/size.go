package remote

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// tooLarge is the error about a repository with more bytes than the limit.
func tooLarge(limit int64) error {
	return fmt.Errorf("it has more than %d MiB, the most that is fetched", limit>>20)
}

// fullPack says whether git stopped fetching because what it wrote had reached the limit.
func fullPack(dir string, limit int64) bool {
	packs, _ := filepath.Glob(filepath.Join(dir, ".git/objects/pack/*"))
	for _, path := range packs {
		if info, err := os.Stat(path); err == nil && info.Size() >= limit {
			return true
		}
	}
	return false
}

// measure refuses a commit whose files are too large, before they are written: a small pack can hold very much.
func (g *Git) measure(ctx context.Context, commit, dir string) error {
	s := &sum{left: g.program.largest}
	err := g.program.stream(ctx, dir, s, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
	if s.left < 0 {
		return tooLarge(g.program.largest)
	}
	return err
}

// leastOfFile is what a file takes at least, however small it is.
const leastOfFile = 4 << 10

// sum adds up the sizes in what git ls-tree -l -z prints: "MODE TYPE OBJECT SIZE<tab>PATH<NUL>".
type sum struct {
	left    int64 // how many bytes there may still be
	pending []byte
}

func (s *sum) Write(p []byte) (int, error) {
	s.pending = append(s.pending, p...)
	for {
		entry, rest, ok := bytes.Cut(s.pending, []byte{0})
		if !ok {
			return len(p), nil
		}
		s.pending = rest
		about, _, _ := bytes.Cut(entry, []byte("\t"))
		size := int64(0)
		if fields := bytes.Fields(about); len(fields) == 4 {
			size, _ = strconv.ParseInt(string(fields[3]), 10, 64) // "-" of a submodule, which is not fetched
		}
		if s.left -= max(size, leastOfFile); s.left < 0 {
			return 0, tooLarge(0)
		}
	}
}
