package files

import (
	"golang.org/x/sys/unix"
)

// heldReplaced is how many of the files that were replaced are held at most, twice: while more come, and while they are let go.
const heldReplaced = 512

// replaced holds files that have given way to others. When nobody has such a file open any more its file system frees it: ext4 may
// take as long for that as all the rest takes, since it waits for the disk, and it gives a new file another place the longer the
// more files have just been freed. So that it is not waited for file by file, they are let go beside the work, many at a time.
// Whoever is killed lets all go.
type replaced struct {
	held  []int      // descriptors that cannot be read from
	going chan []int // to who lets them go; nil: nobody yet
	gone  chan struct{}
}

// hold keeps what is at the place from being freed when it is replaced. It is no error if it cannot be held.
func (r *replaced) hold(p place) {
	fd, err := unix.Openat(int(p.parent.Fd()), p.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	if r.held = append(r.held, fd); len(r.held) == heldReplaced {
		r.letGo()
	}
}

// letGo hands over what is held.
func (r *replaced) letGo() {
	if r.going == nil {
		r.going, r.gone = make(chan []int), make(chan struct{})
		go func() {
			defer close(r.gone)
			for held := range r.going {
				closeAll(held)
			}
		}()
	}
	r.going <- r.held
	r.held = nil
}

// end lets all go and returns when they are.
func (r *replaced) end() {
	closeAll(r.held)
	r.held = nil
	if r.going != nil {
		close(r.going)
		<-r.gone
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
