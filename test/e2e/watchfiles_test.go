package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// editor changes the files below some directories at random, as people, programs that they edit with, and git do.
type editor struct {
	t       testing.TB
	rng     *rand.Rand
	roots   []string // what is watched
	outside string   // a directory beside them, for what is moved in and out
	solid   []string // paths that are directories or nothing
	done    []string // what was done, for when something is wrong
	writes  int      // so that no two contents are the same
}

// names are few, so that the same ones are used again for other things.
var names = []string{
	"alpha", "beta", "Beta", "c.rb", "d.rb", "e f", "g.txt", "ünï", "x.bin", ".hidden", "-dash", "lib", "firm", "deep",
	"h.log", "node_modules", ".git", "tmp",
}

// leftovers are names of temporary files that editors may leave behind, of the file with the name.
var leftovers = []func(name string) string{
	func(string) string { return "4913" },
	func(name string) string { return "." + name + ".swp" },
	func(name string) string { return name + "~" },
	func(name string) string { return ".#" + name },
	func(name string) string { return "#" + name + "#" },
	func(name string) string { return name + "___jb_tmp___" },
}

// act does one thing.
func (e *editor) act() {
	deeds := []struct {
		weight int
		name   string
		do     func() (string, error)
	}{
		{20, "write", e.write},
		{6, "append", e.extend},
		{4, "write the same again", e.rewrite},
		{6, "write slowly", e.writeSlowly},
		{8, "save by vim", e.saveByVim},
		{6, "save by JetBrains", e.saveByJetBrains},
		{5, "save by a new file", e.saveByRename},
		{6, "make a folder", e.mkdir},
		{5, "make and fill folders", e.fill},
		{8, "remove", e.remove},
		{10, "rename", e.rename},
		{4, "move out", e.moveOut},
		{6, "move in", e.moveIn},
		{4, "swap", e.swap},
		{3, "change the case", e.changeCase},
		{7, "chmod", e.chmod},
		{3, "touch", e.touch},
		{7, "link", e.link},
		{2, "make a pipe", e.pipe},
		{3, "replace by another kind", e.replace},
		{3, "leave a temporary file", e.leave},
	}
	total := 0
	for _, d := range deeds {
		total += d.weight
	}
	n := e.rng.IntN(total)
	for _, d := range deeds {
		if n -= d.weight; n < 0 {
			e.did(d.name, d.do)
			return
		}
	}
}

// did does it and writes it down. What could not be done, because something else is there or nothing is, is part of the game.
func (e *editor) did(what string, do func() (string, error)) {
	path, err := do()
	line := time.Now().Format("05.000 ") + what + " " + path
	if err != nil {
		line += ": " + err.Error()
	}
	e.done = append(e.done, line)
}

// dir is some directory that is there.
func (e *editor) dir() string {
	dir := e.roots[e.rng.IntN(len(e.roots))]
	for range 4 {
		entries, _ := os.ReadDir(dir)
		entries = slices.DeleteFunc(entries, func(d fs.DirEntry) bool { return !d.IsDir() })
		if len(entries) == 0 || e.rng.IntN(10) < 4 {
			break
		}
		dir = filepath.Join(dir, entries[e.rng.IntN(len(entries))].Name())
	}
	return dir
}

// place is a path at which there may be anything or nothing.
func (e *editor) place() string { return filepath.Join(e.dir(), names[e.rng.IntN(len(names))]) }

// some is a path at which there is something, if its directory is not empty.
func (e *editor) some() string {
	dir := e.dir()
	entries, _ := os.ReadDir(dir)
	if len(entries) == 0 {
		return filepath.Join(dir, names[0])
	}
	return filepath.Join(dir, entries[e.rng.IntN(len(entries))].Name())
}

// file is the path of a regular file, or of nothing.
func (e *editor) file() string {
	for range 8 {
		path := e.some()
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	for {
		path := e.place()
		if info, err := os.Lstat(path); !e.keeps(path) && (err != nil || info.Mode().IsRegular()) {
			return path
		}
	}
}

// keeps says that nothing but a directory may be there.
func (e *editor) keeps(path string) bool { return slices.Contains(e.solid, path) }

func (e *editor) content() []byte {
	e.writes++
	text := fmt.Sprintf("content %d\n", e.writes)
	size := []int{0, 1, 1, 3, 50, 3000, 100_000}[e.rng.IntN(7)]
	return []byte(strings.Repeat(text, size))
}

func (e *editor) mode(dir bool) fs.FileMode {
	modes := []fs.FileMode{0o644, 0o600, 0o755, 0o444, 0o640, 0o755 | fs.ModeSetuid}
	if dir {
		modes = []fs.FileMode{0o755, 0o700, 0o555, 0o777 | fs.ModeSticky, 0o775 | fs.ModeSetgid}
	}
	return modes[e.rng.IntN(len(modes))]
}

func (e *editor) write() (string, error) {
	path := e.file()
	if e.rng.IntN(3) == 0 {
		path = e.place()
		if e.keeps(path) {
			return path, os.MkdirAll(path, 0o755)
		}
	}
	return path, writeAt(path, e.content())
}

// writeAt never writes through a symbolic link: it may lead anywhere. Nor does it wait for whoever reads a pipe.
func writeAt(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func (e *editor) extend() (string, error) {
	path := e.file()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return path, err
	}
	defer f.Close()
	_, err = f.Write(e.content())
	return path, err
}

func (e *editor) rewrite() (string, error) {
	path := e.file()
	data, err := os.ReadFile(path)
	if err != nil {
		return path, err
	}
	return path, writeAt(path, data)
}

func (e *editor) writeSlowly() (string, error) {
	path := e.file()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return path, err
	}
	defer f.Close()
	for range 2 + e.rng.IntN(6) {
		if _, err := f.Write(e.content()); err != nil {
			return path, err
		}
		time.Sleep(time.Duration(e.rng.IntN(8)) * time.Millisecond)
	}
	return path, nil
}

// saveByVim moves the file aside, writes it anew and removes the one of before; before that it tries whether it may write there.
func (e *editor) saveByVim() (string, error) {
	path := e.file()
	dir, name := filepath.Split(path)
	probe, swap, backup := filepath.Join(dir, "4913"), filepath.Join(dir, "."+name+".swp"), path+"~"
	_ = writeAt(swap, []byte("swap"))
	_ = writeAt(probe, nil)
	_ = os.Remove(probe)
	_ = os.Rename(path, backup)
	err := writeAt(path, e.content())
	_ = os.Chmod(path, e.mode(false))
	_ = os.Remove(backup)
	_ = os.Remove(swap)
	return path, err
}

func (e *editor) saveByJetBrains() (string, error) {
	path := e.file()
	if err := writeAt(path+"___jb_tmp___", e.content()); err != nil {
		return path, err
	}
	_ = os.Rename(path, path+"___jb_old___")
	err := os.Rename(path+"___jb_tmp___", path)
	_ = os.Remove(path + "___jb_old___")
	return path, err
}

// saveByRename uses a name that no list of temporary files has.
func (e *editor) saveByRename() (string, error) {
	path := e.file()
	fresh := filepath.Join(filepath.Dir(path), fmt.Sprintf("fresh%d", e.writes))
	if err := writeAt(fresh, e.content()); err != nil {
		return path, err
	}
	return path, os.Rename(fresh, path)
}

func (e *editor) mkdir() (string, error) {
	path := e.place()
	return path, os.Mkdir(path, e.mode(true).Perm())
}

// fill makes folders and files in them before anybody can have seen the folders.
func (e *editor) fill() (string, error) {
	path := e.place()
	for i := range 2 + e.rng.IntN(4) {
		sub := filepath.Join(path, names[e.rng.IntN(4)], fmt.Sprintf("n%d", i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return path, err
		}
		for j := range e.rng.IntN(5) {
			if err := writeAt(filepath.Join(sub, fmt.Sprintf("f%d.rb", j)), e.content()); err != nil {
				return path, err
			}
		}
	}
	return path, nil
}

func (e *editor) remove() (string, error) {
	path := e.some()
	return path, os.RemoveAll(path)
}

// move renames what is there, unless something must not be what it would become then.
func (e *editor) move(from, to string) (string, error) {
	what := from + " to " + to
	if info, err := os.Lstat(from); err != nil || e.keeps(to) && !info.IsDir() {
		return what, fs.ErrNotExist
	}
	return what, os.Rename(from, to)
}

func (e *editor) rename() (string, error) { return e.move(e.some(), e.place()) }

func (e *editor) moveOut() (string, error) {
	return e.move(e.some(), filepath.Join(e.outside, names[e.rng.IntN(len(names))]))
}

func (e *editor) moveIn() (string, error) {
	entries, err := os.ReadDir(e.outside)
	if err != nil || len(entries) == 0 {
		return e.outside, fs.ErrNotExist
	}
	name := entries[e.rng.IntN(len(entries))].Name()
	return e.move(filepath.Join(e.outside, name), e.place())
}

// swap exchanges two paths in one step.
func (e *editor) swap() (string, error) {
	a, b := e.some(), e.some()
	if a == b || e.keeps(a) || e.keeps(b) {
		return a, fs.ErrInvalid
	}
	return a + " and " + b, unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

func (e *editor) changeCase() (string, error) {
	path := e.some()
	dir, name := filepath.Split(path)
	other := strings.ToUpper(name)
	if other == name {
		other = strings.ToLower(name)
	}
	return e.move(path, filepath.Join(dir, other))
}

func (e *editor) chmod() (string, error) {
	path := e.some()
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return path, fs.ErrInvalid
	}
	return path, os.Chmod(path, e.mode(info.IsDir()))
}

func (e *editor) touch() (string, error) {
	path := e.file()
	then := time.Now().Add(-time.Duration(e.rng.IntN(1000)) * time.Hour)
	return path, os.Chtimes(path, then, then)
}

// link makes a symbolic link that leads somewhere below, out of the roots, to places of the container, or nowhere.
func (e *editor) link() (string, error) {
	path := e.place()
	if e.keeps(path) {
		return path, fs.ErrInvalid
	}
	to := []string{"alpha", "../beta", "/srv/guard", "../../guard/file", "../../../../../../etc/passwd", "nowhere", ".", e.outside}[e.rng.IntN(8)]
	if e.rng.IntN(2) == 0 {
		if info, err := os.Lstat(path); err == nil && !info.IsDir() {
			_ = os.Remove(path)
		}
	}
	return path + " to " + to, os.Symlink(to, path)
}

func (e *editor) pipe() (string, error) {
	path := e.place()
	if e.keeps(path) {
		return path, fs.ErrInvalid
	}
	return path, unix.Mkfifo(path, 0o644)
}

// replace puts a file where a directory is, or the other way round.
func (e *editor) replace() (string, error) {
	path := e.some()
	info, err := os.Lstat(path)
	if err != nil || e.keeps(path) {
		return path, fs.ErrInvalid
	}
	if err := os.RemoveAll(path); err != nil {
		return path, err
	}
	if info.IsDir() {
		return path, writeAt(path, e.content())
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return path, err
	}
	return path, writeAt(filepath.Join(path, "in"), e.content())
}

func (e *editor) leave() (string, error) {
	dir, name := filepath.Split(e.file())
	path := filepath.Join(dir, leftovers[e.rng.IntN(len(leftovers))](name))
	return path, writeAt(path, e.content())
}

// checkout writes n files as git does: each is removed and made anew, and some folders come or go.
func (e *editor) checkout(n int) (string, error) {
	root := filepath.Join(e.roots[0], "checkout")
	for _, i := range e.rng.Perm(n) {
		path := filepath.Join(root, fmt.Sprintf("%02d", i/100), fmt.Sprintf("%d.rb", i))
		_ = os.Remove(path)
		if e.rng.IntN(10) == 0 {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return root, err
		}
		e.writes++
		if err := writeAt(path, fmt.Appendf(nil, "content %d\n", e.writes)); err != nil {
			return root, err
		}
	}
	return root, nil
}
