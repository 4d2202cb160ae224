package syncing

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"io"
	"sync"

	"stackrun.dev/stack/watch/session"
)

// How much is held in memory: of an archive, so that all containers get the same bytes, and of a file, so that it is known
// before it is sent whether it changed while it was read.
const (
	heldArchive = 32 << 20
	heldFile    = 16 << 20
)

// perEntry is about what an archive has of a file beside its content.
const perEntry = 2 << 10

// archive is a tar of some of a batch's files.
type archive struct {
	services *Services
	files    []session.File
	which    []int // of them
	size     int64 // about

	once    sync.Once
	content []byte
	packed  packed
}

func newArchive(s *Services, files []session.File, which []int) *archive {
	a := &archive{services: s, files: files, which: which, size: int64(perEntry) * int64(len(which))}
	for _, i := range which {
		a.size += files[i].Entry.Size
	}
	return a
}

// held says whether it is held in memory. Else it is packed for each container anew.
func (a *archive) held() bool { return a.size <= heldArchive }

// nothing says, where that is known before, that nothing is left of the files that could be sent.
func (a *archive) nothing(ctx context.Context) (bool, packed) {
	if !a.held() {
		return false, packed{}
	}
	a.hold(ctx)
	return a.packed.entries == 0, a.packed
}

// hold packs into memory.
func (a *archive) hold(ctx context.Context) {
	a.once.Do(func() {
		var buffer bytes.Buffer
		buffer.Grow(int(a.size))
		a.packed, _ = a.pack(ctx, &buffer) // the context ends whoever would send it
		a.content = buffer.Bytes()
	})
}

// send lets do send the archive, and returns what is in it.
func (a *archive) send(ctx context.Context, do func(io.Reader) error) (packed, error) {
	if a.held() {
		a.hold(ctx)
		if err := ctx.Err(); err != nil {
			return packed{}, err
		}
		return a.packed, do(bytes.NewReader(a.content))
	}
	r, w := io.Pipe()
	done := make(chan packed, 1)
	go func() {
		to := bufio.NewWriterSize(w, 64<<10)
		p, err := a.pack(ctx, to)
		if err == nil {
			err = to.Flush()
		}
		w.CloseWithError(err)
		done <- p
	}()
	err := do(r)
	r.Close()
	return <-done, err
}

func (a *archive) pack(ctx context.Context, to io.Writer) (packed, error) {
	p := packer{out: tar.NewWriter(to), open: a.services.open, impatient: a.services.sources.impatient}
	for _, i := range a.which {
		if err := ctx.Err(); err != nil {
			return p.packed, err
		}
		if err := p.add(&a.files[i]); err != nil {
			return p.packed, err
		}
	}
	return p.packed, p.out.Close()
}
