package fsnotify

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch"
)

// run takes events from the kernel as fast as they come.
func (s *Source) run() {
	defer close(s.ended)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.inotify.Read(buf)
		if err != nil {
			return // it is closed; nothing else can happen to it
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
			var e event
			e, rest = parse(rest)
			s.handle(e)
		}
	}
}

// event is one of the kernel's.
type event struct {
	wd   int32
	mask uint32
	name string // of the entry; empty: the directory itself
}

// parse reads the first event and returns what follows it.
//
// https://man7.org/linux/man-pages/man7/inotify.7.html
func parse(b []byte) (event, []byte) {
	e := event{wd: int32(binary.NativeEndian.Uint32(b)), mask: binary.NativeEndian.Uint32(b[4:])}
	end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
	name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:end], []byte{0})
	e.name = string(name)
	return e, b[end:]
}

// moved are the events after which a path leads to another directory, or to none.
const moved = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_UNMOUNT | unix.IN_IGNORED

// handle tells what has happened under all paths of the directory. One that moved away is given up: who is told adds what is
// there by then.
func (s *Source) handle(e event) {
	if e.mask&unix.IN_Q_OVERFLOW != 0 {
		s.out.Put(watch.Event{Lost: true})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	dirs := s.watches[e.wd]
	if e.mask&moved != 0 && len(dirs) > 0 {
		delete(s.watches, e.wd)
		for _, dir := range dirs {
			delete(s.dirs, dir)
		}
		if e.mask&unix.IN_MOVE_SELF != 0 {
			s.dismiss(e.wd)
		}
	}
	for _, dir := range dirs {
		s.out.Put(watch.Event{Dir: dir, Name: e.name})
	}
}
