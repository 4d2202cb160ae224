package poll

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch/internal/identity"
)

// directory is what one look has found.
type directory struct {
	id      identity.Identity
	self    entry
	entries []entry // sorted by name
}

// entry is an entry of a directory, or with no name the directory itself.
type entry struct {
	name string
	mark uint64 // differs when the entry does
	new  bool   // it had changed so little before the look that another change may leave the same times
}

var errNoDirectory = errors.New("no directory")

// look lists the directory at the path.
func look(path string) (*directory, error) {
	f, err := os.OpenFile(path, unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) { // a link may lead to itself
		return nil, errNoDirectory
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	d := &directory{id: identity.Of(fd, "", &st), self: entry{mark: mark(&st, ""), new: isNew(&st, time.Now())}}
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	now := time.Now()
	d.entries = make([]entry, 0, len(names))
	for _, name := range names {
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue // it has gone since
		}
		d.entries = append(d.entries, entryOf(fd, name, &st, now))
	}
	return d, nil
}

// isStill says whether the path leads to the same directory.
func (d *directory) isStill(path string) bool {
	var st unix.Stat_t
	return unix.Stat(path, &st) == nil && d.id == identity.Of(unix.AT_FDCWD, path, &st)
}

// entryOf describes an entry. What happens in a directory is none of its own, but its times do no harm where nothing else tells
// it from one that was there before.
func entryOf(fd int, name string, st *unix.Stat_t, now time.Time) entry {
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if handle := identity.Of(fd, name, st).Handle; handle != "" {
			return entry{name: name, mark: mark(&unix.Stat_t{Dev: st.Dev, Ino: st.Ino, Mode: st.Mode}, handle)}
		}
	}
	return entry{name: name, mark: mark(st, ""), new: isNew(st, now)}
}

// mark stands for all that a change changes.
func mark(st *unix.Stat_t, handle string) uint64 {
	b := make([]byte, 0, 128)
	for _, v := range [...]uint64{
		uint64(st.Dev), st.Ino, uint64(st.Mode), uint64(st.Size),
		uint64(st.Mtim.Sec), uint64(st.Mtim.Nsec), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec),
	} {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return maphash.Bytes(seed, append(b, handle...))
}

var seed = maphash.MakeSeed()

// isNew says that it has changed within one step of the clock that makes its times: the kernel's tick, or what a file system
// keeps that knows seconds only.
func isNew(st *unix.Stat_t, now time.Time) bool {
	step := 20 * time.Millisecond
	if st.Ctim.Nsec == 0 {
		step = 2 * time.Second
	}
	return now.Sub(time.Unix(st.Ctim.Unix())).Abs() < step
}

// maybe says that it has changed, or could have without a trace.
func (e entry) maybe(now entry) bool { return e.mark != now.mark || e.new }

// differences calls tell with the names that have come, gone, or changed since, and with those that may have.
func (d *directory) differences(now *directory, tell func(name string)) {
	was, is := d.entries, now.entries
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && was[0].name < is[0].name:
			tell(was[0].name)
			was = was[1:]
		case len(was) == 0 || is[0].name < was[0].name:
			tell(is[0].name)
			is = is[1:]
		default:
			if was[0].maybe(is[0]) {
				tell(is[0].name)
			}
			was, is = was[1:], is[1:]
		}
	}
}
