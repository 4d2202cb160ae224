package files

import (
	"container/list"
	"errors"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// openParents is how many directories stay open.
const openParents = 128

// parents opens the directories in which files are, and keeps the last ones that were used open: files come directory by
// directory.
type parents struct {
	root   *os.File
	enter  func(dir string) error // told of each before it is opened
	byName map[string]*list.Element
	recent *list.List // of *parent, the last one used in front
}

type parent struct {
	name string
	dir  *os.File
	err  error // why there is none
}

func newParents(root *os.File, enter func(dir string) error) *parents {
	return &parents{root: root, enter: enter, byName: map[string]*list.Element{}, recent: list.New()}
}

// of opens the directory of the path, which is clean. The place is valid until the next call.
func (p *parents) of(name string) (place, error) {
	dir := path.Dir(name)
	found := p.byName[dir]
	if found == nil {
		opened := &parent{name: dir}
		opened.dir, opened.err = p.open(dir)
		found = p.recent.PushFront(opened)
		p.byName[dir] = found
		if p.recent.Len() > openParents {
			p.drop(p.recent.Back())
		}
	}
	p.recent.MoveToFront(found)
	o := found.Value.(*parent)
	return place{o.dir, path.Base(name)}, o.err
}

func (p *parents) open(dir string) (*os.File, error) {
	if err := p.enter(dir); err != nil {
		return nil, err
	}
	return open(p.root, dir, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// make opens the directory of the path, and makes it and those above if they are missing.
func (p *parents) make(name string, made func(place) error) (place, error) {
	found, err := p.of(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	dir := path.Dir(name)
	above, err := p.make(dir, made)
	if err != nil {
		return place{}, err
	}
	err = unix.Mkdirat(int(above.parent.Fd()), above.name, 0o755)
	if err == nil {
		err = made(above)
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return place{}, err
	}
	p.stale(dir)
	return p.of(name)
}

// stale closes one directory, or forgets that there is none.
func (p *parents) stale(dir string) {
	if found := p.byName[dir]; found != nil {
		p.drop(found)
	}
}

// forget closes all: a name may mean another directory now.
func (p *parents) forget() {
	for p.recent.Len() > 0 {
		p.drop(p.recent.Back())
	}
}

func (p *parents) drop(e *list.Element) {
	o := p.recent.Remove(e).(*parent)
	delete(p.byName, o.name)
	if o.dir != nil {
		o.dir.Close()
	}
}
