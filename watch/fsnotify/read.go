package fsnotify

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
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
