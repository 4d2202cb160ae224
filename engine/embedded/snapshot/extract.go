package snapshot

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

const (
	// reserve is what an extraction leaves free on the disk, so that a layer which unpacks to far more than it weighs
	// cannot stop everything else on the host.
	reserve = 256 << 20
	// checkEvery is how many bytes are extracted between two looks at the free space.
	checkEvery = 64 << 20

	xattrRecord = "SCHILY.xattr."
)

// errNeedsParent is the answer to a layer with a file whose directory it does not describe: the directory's owner and
// mode come from the layer below.
var errNeedsParent = errors.New("the layer relies on directories of the layer below")

// target says where a layer goes.
type target struct {
	dir     string
	parents []string // directories of the layers below, the topmost first
	bottom  bool     // nothing is below: whiteouts hide nothing
	alone   bool     // something is below but is not known yet
}

// extractLayer unpacks the layer's blob into the target and checks its digest.
func (s *Store) extractLayer(ctx context.Context, layer Layer, to target) error {
	ra, err := s.content.ReaderAt(ctx, layer.Blob)
	if err != nil {
		return fmt.Errorf("cannot read layer %s: %w", layer.Blob.Digest, err)
	}
	defer ra.Close()
	plain, err := Decompress(ctx, content.NewReader(ra))
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot decompress layer %s: %w", layer.Blob.Digest, err)
	}
	defer plain.Close()

	digester := digest.Canonical.Digester()
	in := io.TeeReader(GuardSpace(plain, to.dir), digester.Hash())
	if _, err := archive.Apply(ctx, to.dir, in, to.options()...); err != nil {
		if errors.Is(err, errNeedsParent) || ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("cannot unpack layer %s: %w", layer.Blob.Digest, err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil { // what follows the archive's end is part of the digest
		return fmt.Errorf("cannot unpack layer %s: %w", layer.Blob.Digest, err)
	}
	if got := digester.Digest(); got != layer.DiffID {
		return engine.Errorf(engine.ErrInvalid, "layer %s is not what the image says: its content is %s instead of %s", layer.Blob.Digest, got, layer.DiffID)
	}
	return nil
}

func (to target) options() []archive.ApplyOpt {
	opts := []archive.ApplyOpt{archive.WithFilter(to.filter())}
	if !to.bottom {
		opts = append(opts, archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(to.parents))
	}
	return opts
}

// filter drops what a layer must not bring: attributes that steer overlayfs itself.
func (to target) filter() archive.Filter {
	known := map[string]bool{"/": true}
	return func(hdr *tar.Header) (bool, error) {
		for key := range hdr.PAXRecords {
			if name, ok := strings.CutPrefix(key, xattrRecord); ok && steersOverlay(name) {
				delete(hdr.PAXRecords, key)
			}
		}
		name := path.Clean("/" + hdr.Name)
		if to.alone {
			if !known[path.Dir(name)] {
				return false, errNeedsParent
			}
			if hdr.Typeflag == tar.TypeDir {
				known[name] = true
			}
		}
		return true, nil
	}
}

func steersOverlay(xattr string) bool {
	return strings.HasPrefix(xattr, "trusted.overlay.") || strings.HasPrefix(xattr, "user.overlay.")
}

// GuardSpace returns a reader that fails when what was read so far, which the caller writes to dir, has nearly filled
// the disk.
func GuardSpace(r io.Reader, dir string) io.Reader {
	return &spaceGuard{r: r, dir: dir, budget: checkEvery}
}

type spaceGuard struct {
	r      io.Reader
	dir    string
	budget int
}

func (g *spaceGuard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	if g.budget -= n; g.budget > 0 || err != nil {
		return n, err
	}
	g.budget = checkEvery
	var st unix.Statfs_t
	if err := unix.Statfs(g.dir, &st); err != nil {
		return n, err
	}
	if free := st.Bavail * uint64(st.Bsize); free < reserve {
		return n, fmt.Errorf("only %d MiB are left on the disk: %w", free>>20, unix.ENOSPC)
	}
	return n, nil
}

// option returns the value of a mount option, "" if there is none.
func option(m mount.Mount, name string) string {
	for _, o := range m.Options {
		if value, ok := strings.CutPrefix(o, name+"="); ok {
			return value
		}
	}
	return ""
}

func randomName() string { return rand.Text() }
