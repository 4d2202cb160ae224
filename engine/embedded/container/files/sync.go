package files

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/engine"
)

// SyncOptions say how files are synced.
type SyncOptions struct {
	engine.SyncOptions

	// Owner, if not nil, owns everything that is written. Otherwise the archive says who does.
	Owner *Owner

	// Fixed are clean paths at or below which the container has something mounted, maybe only when it runs. Nothing is taken
	// away there, not even in part.
	Fixed map[string]bool

	// Enter is called with each directory, clean, before anything is done in it, maybe more than once. An error keeps it from
	// being opened. May be nil.
	Enter func(dir string) error

	// Temporary is the name that a file has for the moment before it takes its place. Nobody else may use it at the same time;
	// what has it is a leftover of a call that was killed, and is removed.
	Temporary string
}

// Sync removes files and unpacks a plain tar. See engine.Syncs for what is promised.
func Sync(ctx context.Context, root *os.File, content io.Reader, opts SyncOptions) error {
	enter := opts.Enter
	if enter == nil {
		enter = anywhere
	}
	s := syncer{dirs: newParents(root, enter), opts: opts, buffer: make([]byte, 64<<10)}
	defer s.dirs.forget()
	defer s.replaced.end()
	if err := s.remove(ctx, opts.Remove); err != nil {
		return err
	}
	if err := s.unpack(ctx, content); err != nil {
		return err
	}
	return engine.SyncFailure(s.failed)
}

func anywhere(string) error { return nil }

// unpack unpacks the archive.
func (s *syncer) unpack(ctx context.Context, content io.Reader) error {
	archive := tar.NewReader(bufio.NewReaderSize(readWhile{ctx, content}, len(s.buffer))) // it reads headers piece by piece
	for {
		header, err := archive.Next()
		switch {
		case err == io.EOF:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return brokenArchive(err)
		}
		if err := s.entry(header, archive); err != nil {
			return cmp.Or(ctx.Err(), err)
		}
	}
}

type syncer struct {
	dirs   *parents
	opts   SyncOptions
	buffer []byte
	failed []error

	replaced replaced

	onlyNamed bool // the file system has no files without names
	renamed   bool // a directory or a link gave way: what is open may be another one than its name means now
}

// broken is an error after which the archive cannot be read any further.
type broken struct{ error }

func (b broken) Unwrap() error { return b.error }

// fail notes what could not be done, unless nothing else can be done either.
func (s *syncer) fail(name string, err error) error {
	if stop, ok := errors.AsType[broken](err); ok {
		return stop.error
	}
	if err != nil {
		s.failed = append(s.failed, unsynced(name, err))
	}
	return nil
}

// unsynced gives an error its kind and its name.
func unsynced(name string, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		return engine.Errorf(engine.ErrConflict, "cannot replace %s in the container: it is a mount point, or has one in it", name)
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EEXIST):
		return engine.Errorf(engine.ErrConflict, "cannot write %s in the container: something on the way to it is no directory", name)
	case errors.Is(err, unix.ESTALE):
		return engine.Errorf(engine.ErrConflict, "cannot write %s: the container's file system has gone", name)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return engine.Errorf(engine.ErrForbidden, "cannot write %s in the container: %w", name, err)
	case errors.Is(err, unix.EDQUOT):
		return engine.Errorf(engine.ErrUnavailable, "cannot write %s in the container: the disk quota is used up", name)
	}
	return missing(name, err)
}

// remove removes what is no directory, and then directories that are empty.
func (s *syncer) remove(ctx context.Context, names []string) error {
	var dirs []string
	for i, name := range names {
		clean, err := engine.SyncPath(name)
		if err == nil && i%betweenChecks == 0 {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		isDir, err := s.unlink(clean)
		if isDir {
			dirs = append(dirs, clean)
		}
		if err != nil {
			s.failed = append(s.failed, unsynced(clean, err))
		}
	}
	for _, name := range dirs {
		if err := s.rmdir(name); err != nil {
			s.failed = append(s.failed, unsynced(name, err))
		}
	}
	return nil
}

// unlink removes what is no directory. What is not there is removed already.
func (s *syncer) unlink(name string) (isDir bool, err error) {
	p, err := s.dirs.of(name)
	if err != nil {
		return false, unlessGone(err)
	}
	there, err := p.look()
	switch {
	case err != nil || there.mode == 0:
		return false, err
	case there.is(unix.S_IFDIR):
		return true, nil
	case there.mounted || s.opts.Fixed[name]:
		return false, unix.EBUSY
	}
	err = unlessGone(unix.Unlinkat(int(p.parent.Fd()), p.name, 0))
	if there.is(unix.S_IFLNK) {
		s.dirs.forget() // it may have led to some of them
	}
	return false, err
}

// rmdir removes a directory that is empty and no mount point.
func (s *syncer) rmdir(name string) error {
	p, err := s.dirs.of(name)
	if err != nil || name == "/" {
		return unlessGone(err)
	}
	if there, err := p.look(); err != nil || there.mounted || s.opts.Fixed[name] {
		return err
	}
	err = unix.Unlinkat(int(p.parent.Fd()), p.name, unix.AT_REMOVEDIR)
	s.dirs.stale(name)
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return unlessGone(err)
}

func unlessGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	return err
}

// entry unpacks one entry. The error is one after which there is no going on.
func (s *syncer) entry(header *tar.Header, content io.Reader) error {
	name, err := engine.SyncTarget(header)
	if err != nil || name == "/" {
		return err
	}
	if s.renamed {
		s.dirs.forget()
		s.renamed = false
	}
	p, err := s.dirs.make(name, s.own)
	if err != nil {
		return s.fail(name, err)
	}
	if err := s.stays(p, name, header.Typeflag == tar.TypeDir); err != nil {
		return s.fail(name, err)
	}
	if header.Typeflag == tar.TypeReg {
		return s.fail(name, s.file(p, name, header, content))
	}
	put := s.dir
	if header.Typeflag == tar.TypeSymlink {
		put = s.link
	}
	err = put(p, name, header)
	if vanished(err) {
		if p, err = s.reopen(name); err == nil {
			err = put(p, name, header)
		}
	}
	return s.fail(name, err)
}

// stays is EBUSY if something would have to give way that must not. Of what is mounted at this moment the rest takes care.
func (s *syncer) stays(p place, name string, forDir bool) error {
	if !s.opts.Fixed[name] {
		return nil
	}
	there, err := p.look()
	if err != nil || there.mounted || forDir && (there.mode == 0 || there.is(unix.S_IFDIR)) {
		return err
	}
	return unix.EBUSY
}

// vanished says that the directory may have been removed since it was opened. ext4 calls making a file there EPERM.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ESTALE)
}

// reopen opens the directory of the path anew.
func (s *syncer) reopen(name string) (place, error) {
	s.dirs.forget()
	return s.dirs.make(name, s.own)
}

// own gives a directory that was made on the way to the one who gets what is in it.
func (s *syncer) own(p place) error {
	if s.opts.Owner == nil {
		return nil
	}
	return giveDir(p, s.opts.Owner.UID, s.opts.Owner.GID)
}

// giveDir gives a new directory to its owner. If that cannot be done there is none: it would count as right the next time.
func giveDir(p place, uid, gid int) error {
	at := int(p.parent.Fd())
	err := unix.Fchownat(at, p.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		_ = unix.Unlinkat(at, p.name, unix.AT_REMOVEDIR)
	}
	return err
}

func (s *syncer) owner(header *tar.Header) (uid, gid int) {
	if s.opts.Owner != nil {
		return s.opts.Owner.UID, s.opts.Owner.GID
	}
	return header.Uid, header.Gid
}

// dir makes a directory, or gives the one that is there its permissions.
func (s *syncer) dir(p place, name string, header *tar.Header) error {
	at, mode := int(p.parent.Fd()), uint32(header.Mode&0o7777)
	there, err := p.look()
	switch {
	case err != nil:
		return err
	case there.is(unix.S_IFDIR) && there.mode&0o7777 == mode:
		return nil // not even its change time changes
	case there.is(unix.S_IFDIR):
		return chmod(p, mode)
	case there.mounted:
		return unix.EBUSY
	case there.mode != 0:
		s.renamed = there.is(unix.S_IFLNK)
		if err := unlessGone(unix.Unlinkat(at, p.name, 0)); err != nil {
			return err
		}
	}
	s.dirs.stale(name)
	if err := unix.Mkdirat(at, p.name, 0o700); err != nil {
		return err
	}
	uid, gid := s.owner(header)
	if err := giveDir(p, uid, gid); err != nil {
		return err
	}
	return chmod(p, mode)
}

// link makes a symbolic link beside its place and moves it there.
func (s *syncer) link(p place, _ string, header *tar.Header) error {
	at := int(p.parent.Fd())
	there, err := p.look()
	if there.mounted {
		err = unix.EBUSY
	}
	if err == nil {
		err = s.temporary(p, func() error { return unix.Symlinkat(header.Linkname, at, s.opts.Temporary) })
	}
	if err != nil {
		return err
	}
	uid, gid := s.owner(header)
	if err = unix.Fchownat(at, s.opts.Temporary, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = s.publish(p, there)
	}
	if err != nil {
		s.cleanUp(p)
	}
	return err
}

// temporary makes a file of the temporary name, after what was left there.
func (s *syncer) temporary(p place, makeIt func() error) error {
	err := makeIt()
	if errors.Is(err, unix.EEXIST) {
		if err := removeTree(int(p.parent.Fd()), s.opts.Temporary, 0); err != nil {
			return err
		}
		err = makeIt()
	}
	return err
}

// publish moves the temporary file to its place. A directory there gives way.
func (s *syncer) publish(p place, there found) error {
	at := int(p.parent.Fd())
	s.renamed = there.is(unix.S_IFDIR) || there.is(unix.S_IFLNK)
	if there.is(unix.S_IFDIR) {
		if err := removeTree(at, p.name, 0); err != nil {
			return err
		}
	}
	if there.is(unix.S_IFREG) {
		s.replaced.hold(p)
	}
	return unix.Renameat(at, s.opts.Temporary, at, p.name)
}

// cleanUp takes away the temporary file, which could not be moved.
func (s *syncer) cleanUp(p place) { _ = unix.Unlinkat(int(p.parent.Fd()), s.opts.Temporary, 0) }
