package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"stackrun.dev/stack/engine"
)

// CompareFiles implements engine.Syncs.
func (e *Engine) CompareFiles(ctx context.Context, ref string, files []engine.FileState) ([]int, error) {
	seen, err := e.filesOf(ctx, "CompareFiles", ref)
	if err != nil {
		return nil, err
	}
	differ := []int{}
	for i := range files {
		if n, _, err := seen.statLink(files[i].Path, false); err != nil || !n.is(&files[i]) {
			differ = append(differ, i)
		}
	}
	return differ, nil
}

// is compares a file with its description.
func (n *node) is(want *engine.FileState) bool {
	switch {
	case !want.SameMode(n.mode):
		return false
	case n.mode.IsDir():
		return true
	case n.mode&fs.ModeSymlink != 0:
		return n.link == want.Link
	case int64(len(n.data)) != want.Size:
		return false
	case n.modified.Unix() == want.ModTime.Unix():
		return true
	}
	sum := sha256.Sum256(n.data)
	return len(want.Digest) > 0 && bytes.HasPrefix(sum[:], want.Digest)
}

// SyncFiles implements engine.Syncs.
func (e *Engine) SyncFiles(ctx context.Context, ref string, content io.Reader, opts engine.SyncOptions) error {
	s := syncing{ctx: ctx, ref: ref}
	var user string
	err := e.locked(ctx, "SyncFiles", ref, func(c *ctr) error {
		if s.vfs = c.files(); c.run != nil {
			s.vfs = c.run.files
		}
		user = c.config.User
		return nil
	})
	if err == nil && user != "" {
		s.owned = true
		if s.uid, s.gid, err = s.owner(user); err != nil {
			err = engine.Errorf(engine.ErrInvalid, "cannot sync files to container %s: %w", ref, err)
		}
	}
	if err == nil {
		err = s.removeAll(opts.Remove)
	}
	if err == nil {
		err = eachEntry(content, s.entry)
	}
	if err != nil {
		return err
	}
	return engine.SyncFailure(s.failed)
}

// syncing is one call of SyncFiles.
type syncing struct {
	*vfs
	ctx      context.Context
	ref      string
	owned    bool // uid and gid own what is written
	uid, gid int
	failed   []error
}

func (s *syncing) fail(name string, err error) {
	if err != nil {
		s.failed = append(s.failed, noFile(s.ref, name, err))
	}
}

// errBusy is what has a mount in it or is one.
var errBusy = errors.New("it is a mount point, or has one in it")

func (s *syncing) removeAll(names []string) error {
	var dirs []string
	for _, name := range names {
		clean, err := engine.SyncPath(name)
		if err != nil {
			return err
		}
		n, resolved, err := s.statLink(clean, false)
		switch {
		case err != nil: // it is not there
		case n.mode.IsDir():
			dirs = append(dirs, resolved)
		default:
			s.fail(name, s.drop(resolved))
		}
	}
	for _, dir := range dirs {
		if names, err := s.children(dir); err == nil && len(names) == 0 && !s.busy(dir) {
			s.fail(dir, s.drop(dir))
		}
	}
	return s.ctx.Err()
}

// drop removes what is no mount point and has none in it.
func (s *syncing) drop(resolved string) error {
	if s.busy(resolved) {
		return errBusy
	}
	return s.remove(resolved)
}

func (s *syncing) busy(resolved string) bool {
	for _, m := range s.mounts[1:] {
		if m.at == resolved || strings.HasPrefix(m.at, resolved+"/") {
			return true
		}
	}
	return resolved == "/"
}

func (s *syncing) entry(h *tar.Header, content []byte) error {
	name, err := engine.SyncTarget(h)
	if err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	n, _ := fromHeader(h, content)
	if s.owned {
		n.uid, n.gid = s.uid, s.gid
	}
	if name != "/" {
		s.fail(name, s.replace(name, n))
	}
	return nil
}

// replace puts a file where another one may be.
func (s *syncing) replace(name string, n node) error {
	dir, err := s.resolve(path.Dir(name), true)
	if err == nil {
		err = s.mkdirAll(dir)
	}
	if err != nil {
		return err
	}
	at := path.Join(dir, path.Base(name))
	m, inside := s.find(at)
	if m.readOnly {
		return fs.ErrPermission
	}
	old, ok := m.tree.get(inside)
	switch {
	case ok && old.mode.IsDir() && n.mode.IsDir():
		return m.tree.chmod(inside, n.mode)
	case ok && old.mode.IsRegular() && n.mode.IsRegular():
	case s.busy(at) && (ok || !n.mode.IsDir()):
		return errBusy
	case ok:
		if err := m.tree.remove(inside); err != nil {
			return err
		}
	}
	if err := m.tree.put(inside, n); err != nil {
		return err
	}
	if n.mode&fs.ModeSymlink != 0 {
		return nil
	}
	return m.tree.chmod(inside, n.mode)
}
