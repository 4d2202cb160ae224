package reader

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// shared is the one inotify instance of the process: a user has only 128 of them, and any number of logs may be
// followed at once. It exists while somebody follows.
var shared watcher

type watcher struct {
	mu   sync.Mutex
	file *os.File                  // nil while nobody watches
	subs map[int32]map[*watch]bool // by the kernel's watch descriptor; the same for two watches of one directory
}

// watch reports changes in one directory.
type watch struct {
	C    chan struct{} // gets a value after something changed
	Gone chan struct{} // closed when the directory is removed
	id   int32
	gone sync.Once
}

// subscribe begins to watch a directory. Changes after it has returned are reported.
func (w *watcher) subscribe(dir string) (*watch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, os.NewSyscallError("inotify_init1", err)
		}
		w.file = os.NewFile(uintptr(fd), "inotify")
		w.subs = map[int32]map[*watch]bool{}
		go w.run(w.file)
	}
	id, err := w.add(dir)
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "inotify_add_watch", Path: dir, Err: err}, w.closeIfIdle())
	}
	s := &watch{C: make(chan struct{}, 1), Gone: make(chan struct{}), id: id}
	if w.subs[id] == nil {
		w.subs[id] = map[*watch]bool{}
	}
	w.subs[id][s] = true
	return s, nil
}

func (w *watcher) add(dir string) (id int32, err error) {
	const events = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
	err = w.withFd(func(fd int) error {
		n, err := unix.InotifyAddWatch(fd, dir, events)
		id = int32(n)
		return err
	})
	return id, err
}

// withFd calls f with the inotify descriptor and keeps it in non-blocking mode, which File.Fd would not.
func (w *watcher) withFd(f func(fd int) error) error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := conn.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// unsubscribe ends the watch.
func (w *watcher) unsubscribe(s *watch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	subs := w.subs[s.id]
	delete(subs, s)
	if len(subs) == 0 && subs != nil {
		delete(w.subs, s.id)
		err := w.withFd(func(fd int) error {
			_, err := unix.InotifyRmWatch(fd, uint32(s.id))
			return err
		})
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: the directory is gone and its watch with it
			return err
		}
	}
	return w.closeIfIdle()
}

func (w *watcher) closeIfIdle() error {
	if w.file == nil || len(w.subs) > 0 {
		return nil
	}
	err := w.file.Close()
	w.file, w.subs = nil, nil
	return err
}

// run passes the kernel's events on until the file is closed.
func (w *watcher) run(f *os.File) {
	buf := make([]byte, 4<<10)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return // closed: inotify has no other errors with a buffer of this size
		}
		w.dispatch(f, buf[:n])
	}
}

func (w *watcher) dispatch(f *os.File, events []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != f {
		return
	}
	for len(events) >= unix.SizeofInotifyEvent {
		id := int32(binary.NativeEndian.Uint32(events))
		mask := binary.NativeEndian.Uint32(events[4:])
		events = events[unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(events[12:])):]
		if mask&unix.IN_Q_OVERFLOW != 0 { // events were lost: everybody has to look
			for id := range w.subs {
				w.notify(id, 0)
			}
			continue
		}
		w.notify(id, mask)
	}
}

func (w *watcher) notify(id int32, mask uint32) {
	for s := range w.subs[id] {
		select {
		case s.C <- struct{}{}:
		default: // it has not seen the event before yet
		}
		if mask&(unix.IN_DELETE_SELF|unix.IN_IGNORED) != 0 {
			s.gone.Do(func() { close(s.Gone) })
		}
	}
}
