package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stackrun.dev/stack/watch/watchtest"
)

// observed are the changes that something makes, as lines sorted by path. A file that is written afterwards tells when all was seen.
func observed(t *testing.T, tr *Tree, dir string, do func()) []string {
	t.Helper()
	do()
	end := filepath.Join(dir, "zz-end")
	put(t, end, time.Now().String())
	var changes []Change
	for timeout := time.After(patience); ; {
		select {
		case b := <-tr.Batches():
			changes = append(changes, b.Changes...)
			if slices.ContainsFunc(b.Changes, func(c Change) bool { return c.Path == end }) {
				return lines(slices.DeleteFunc(merge(changes), func(c Change) bool { return strings.HasPrefix(c.Path, end) }))
			}
		case <-timeout:
			t.Fatal("nothing was told")
		}
	}
}

func TestWhatIsAChange(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/file"
	old := time.Now().Add(-time.Hour)
	write(t, file, "text")
	write(t, dir+"/sub/a", "a")
	write(t, dir+"/sub/b", "b")
	write(t, dir+"/README", "read me")
	must(t, os.Symlink("file", dir+"/link"))
	for path := range onDisk(t, Root{Path: dir}) {
		_ = os.Chtimes(path, old, old)
	}
	time.Sleep(time.Duration(clockStep)) // what was changed just now is not seen to be older
	tr := opened(t, Root{Path: dir})
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"touched", func() error { return os.Chtimes(file, time.Now(), time.Now()) }, nil},
		{"touched for tomorrow", func() error { return os.Chtimes(file, tomorrow(), tomorrow()) }, nil},
		{"the same is written", func() error { return os.WriteFile(file, []byte("text"), 0o644) }, nil},
		{"the same takes its place", func() error { put(t, file, "text"); return nil }, nil},
		{"another text", func() error { return os.WriteFile(file, []byte("other"), 0o644) }, []string{"file other file"}},
		{"of the same length", func() error { return os.WriteFile(file, []byte("again"), 0o644) }, []string{"file other file"}},
		{"with the time of the one before", func() error {
			info, err := os.Stat(file)
			return first(err, os.WriteFile(file, []byte("third"), 0o644), os.Chtimes(file, info.ModTime(), info.ModTime()))
		}, []string{"file other file"}},
		{"and again, with a time of tomorrow", func() error {
			return first(os.WriteFile(file, []byte("forth"), 0o644), os.Chtimes(file, tomorrow(), tomorrow()))
		}, []string{"file other file"}},
		{"the same again with a time of tomorrow", func() error {
			return first(os.WriteFile(file, []byte("forth"), 0o644), os.Chtimes(file, tomorrow(), tomorrow()))
		}, nil},
		{"there and back", func() error {
			return first(os.WriteFile(file, []byte("fifth"), 0o644), os.WriteFile(file, []byte("forth"), 0o644))
		}, nil},
		{"executable", func() error { return os.Chmod(file, 0o755) }, []string{"file mode -rwxr-xr-x"}},
		{"set-group-ID", func() error { return os.Chmod(file, 0o755|os.ModeSetgid) }, []string{"file mode grwxr-xr-x"}},
		{"a directory's permissions", func() error { return os.Chmod(dir+"/sub", 0o700) }, []string{"sub mode -rwx------"}},
		{"the root's permissions", func() error { return os.Chmod(dir, 0o711) }, []string{filepath.Base(dir) + " mode -rwx--x--x"}},
		{"another target", func() error {
			return first(os.Symlink("sub", dir+"/l"), os.Rename(dir+"/l", dir+"/link"))
		}, []string{"link other link"}},
		{"the same link", func() error {
			return first(os.Symlink("sub", dir+"/l"), os.Rename(dir+"/l", dir+"/link"))
		}, nil},
		{"a directory for a link", func() error { return first(os.Remove(dir+"/link"), os.Mkdir(dir+"/link", 0o755)) }, []string{"link link is directory"}},
		{"a file for a directory", func() error { return first(os.RemoveAll(dir+"/sub"), os.WriteFile(dir+"/sub", []byte("x"), 0o600)) },
			[]string{"sub directory is file", "a no file", "b no file"}},
		{"a directory for a file", func() error { return first(os.Remove(dir+"/sub"), os.Mkdir(dir+"/sub", 0o755)) }, []string{"sub file is directory"}},
		{"only the case", func() error { return os.Rename(dir+"/README", dir+"/readme") }, []string{"README no file", "readme new file"}},
		{"a pipe is nothing", func() error { return unix.Mkfifo(dir+"/pipe", 0o600) }, nil},
		{"a pipe for a file", func() error { return first(os.Remove(dir+"/readme"), unix.Mkfifo(dir+"/readme", 0o600)) }, []string{"readme no file"}},
		{"filled at once", func() error {
			write(t, dir+"/new/below/a", "a")
			write(t, dir+"/new/below/b", "b")
			return os.Mkdir(dir+"/new/empty", 0o755)
		}, []string{"new new directory", "below new directory", "a new file", "b new file", "empty new directory"}},
		{"a directory moves", func() error { return os.Rename(dir+"/new/below", dir+"/moved") },
			[]string{"moved new directory", "a new file", "b new file", "below no directory", "a no file", "b no file"}},
		{"and what is in it changes", func() error { return os.WriteFile(dir+"/moved/a", []byte("A"), 0o600) }, []string{"a other file"}},
		{"there and back again", func() error { return first(os.Rename(dir+"/moved", dir+"/m"), os.Rename(dir+"/m", dir+"/moved")) }, nil},
		{"and is still watched", func() error { return os.WriteFile(dir+"/moved/a", []byte("B"), 0o600) }, []string{"a other file"}},
		{"a copy takes its place", func() error {
			write(t, dir+"/m/a", "B")
			write(t, dir+"/m/b", "B")
			return first(os.Rename(dir+"/moved", dir+"/new/m"), os.Rename(dir+"/m", dir+"/moved"))
		}, []string{"b other file", "m new directory", "a new file", "b new file"}},
		{"two directories are exchanged", func() error {
			return unix.Renameat2(unix.AT_FDCWD, dir+"/moved", unix.AT_FDCWD, dir+"/new/m", unix.RENAME_EXCHANGE)
		}, []string{"b other file", "b other file"}},
		{"a link to a directory is not followed", func() error {
			return first(os.RemoveAll(dir+"/new/m"), os.Symlink("../moved", dir+"/new/m"), os.WriteFile(dir+"/moved/a", []byte("C"), 0o600))
		}, []string{"a other file", "m directory is link", "a no file", "b no file"}},
		{"all goes", func() error { return os.RemoveAll(dir + "/new") }, []string{"new no directory", "empty no directory", "m no link"}},
	} {
		waitUntilRead(t, tr)
		got := observed(t, tr, dir, func() { must(t, c.do()) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if err := difference(replicaOf(tr, Root{Path: dir}).described(), onDisk(t, Root{Path: dir})); err != nil {
		t.Error(err)
	}
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A file that was touched before anybody has read it may be another one.
func TestTouchedBeforeItWasRead(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "text")
	tr := opened(t)
	for _, c := range []struct {
		digest Digest
		want   []string
	}{{Digest{}, []string{"file other file"}}, {digestOfText([]byte("text")), nil}} {
		must(t, tr.Watch(t.Context(), nil))
		must(t, tr.Watch(t.Context(), []Root{{Path: dir}}))
		tr.mu.Lock()
		tr.dirs[dir].names["file"].digest = c.digest
		tr.mu.Unlock()
		equal(t, observed(t, tr, dir, func() { must(t, os.Chtimes(dir+"/file", tomorrow(), tomorrow())) }), c.want...)
		must(t, os.Remove(dir+"/zz-end"))
	}
}

// What changes while it is read is told when it does not any more, and all of it.
func TestAFileThatKeepsChanging(t *testing.T) {
	dir := t.TempDir()
	tr := opened(t, Root{Path: dir})
	path := dir + "/file"
	text := bytes.Repeat([]byte("0123456789abcdef"), 1<<15)
	ended := make(chan error)
	go func() {
		for i := range 60 {
			text[0] = byte(i)
			if err := os.WriteFile(path, text, 0o644); err != nil {
				ended <- err
				return
			}
		}
		close(ended)
	}()
	var last Entry
	for timeout := time.After(patience); last.Digest != digestOfText(append([]byte{59}, text[1:]...)); {
		select {
		case b := <-tr.Batches():
			last = b.Changes[len(b.Changes)-1].Is
		case <-timeout:
			t.Fatalf("at last it is told to be %+v", last)
		}
	}
	must(t, <-ended)
}

// A large file is not told in pieces, and not read for knowing that it has grown.
func TestALargeFile(t *testing.T) {
	dir := t.TempDir()
	tr := opened(t, Root{Path: dir})
	f, err := os.Create(dir + "/large")
	must(t, err)
	for i := range int64(50) {
		must(t, f.Truncate(i<<20))
		_, err := fmt.Fprint(f, i)
		must(t, err)
		time.Sleep(time.Millisecond)
	}
	must(t, f.Close())
	var sizes []int64
	for timeout := time.After(patience); len(sizes) == 0 || sizes[len(sizes)-1] != 49<<20; {
		select {
		case b := <-tr.Batches():
			sizes = append(sizes, b.Changes[0].Is.Size)
		case <-timeout:
			t.Fatalf("told with the sizes %d", sizes)
		}
	}
	for i, size := range sizes[:len(sizes)-1] {
		if size > largeFile+1<<20 && i > 0 {
			t.Errorf("told with the sizes %d", sizes)
		}
	}
	waitUntilRead(t, tr)
}

func TestRecent(t *testing.T) {
	const ms = int64(time.Millisecond)
	now := int64(1_800_000_000_000_000_123)
	for _, c := range []struct {
		name         string
		mtime, ctime int64
		want         bool
	}{
		{"long ago", now - 1000*ms, now - 1000*ms, false},
		{"just now", now - ms, now - ms, true},
		{"only its permissions", now - 1000*ms, now - ms, true},
		{"of tomorrow", now + 1e14, now - 1000*ms, true},
		{"whole seconds", now - now%1e9 - 1e9, now - now%1e9 - 1e9, true},
		{"whole seconds, long ago", now - now%1e9 - 3e9, now - now%1e9 - 3e9, false},
	} {
		s := stat{clock: now}
		s.Mtim, s.Ctim = unix.NsecToTimespec(c.mtime), unix.NsecToTimespec(c.ctime)
		if s.recent() != c.want {
			t.Errorf("%s: %v", c.name, !c.want)
		}
	}
}

// The digest of a file that changes while it is read would be that of no file at all.
func TestWhatChangesWhileItIsReadHasNoDigest(t *testing.T) {
	path := t.TempDir() + "/file"
	write(t, path, "before")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer func() { must(t, f.Close()) }()
	before, err := statOf(int(f.Fd()))
	must(t, err)
	if digest, err := digestOf(int(f.Fd()), &before, func() bool { return false }); err != nil || digest != digestOfText([]byte("before")) {
		t.Errorf("%x, %v", digest, err)
	}
	_, err = f.Write([]byte("after"))
	must(t, err)
	if _, err := digestOf(int(f.Fd()), &before, func() bool { return false }); !errors.Is(err, errUnsteady) {
		t.Errorf("changed meanwhile: %v", err)
	}
}

// A file that nobody may read has not changed when nothing of it is seen to have.
func TestAnUnreadFileThatIsTheSame(t *testing.T) {
	scripted(t, func(t *testing.T, tr *Tree, _ *watchtest.Scripted, dir string) {
		d := tr.dirs[dir+"/sub0"]
		fd, err := d.open(unix.O_PATH)
		must(t, err)
		defer closeDir(fd)
		s, err := statAt(fd, "file", false, clock())
		must(t, err)
		p := newPass(tr)
		p.file(d, "file", &s, Digest{})
		equal(t, lines(p.changes))
		s.Size++
		p.file(d, "file", &s, Digest{})
		equal(t, lines(p.changes), "file other file")
	})
}

// TestLeased: a file that somebody keeps for himself, as file servers do, is waited for, but not without a pause.
func TestLeased(t *testing.T) {
	dir := t.TempDir()
	tr := opened(t, Root{Path: dir})
	held, err := os.Create(dir + "/file~")
	must(t, err)
	_, err = held.WriteString("1")
	must(t, err)
	if _, err := unix.FcntlInt(held.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skip("the file system has no leases: ", err)
	}
	began := threadTimes(t)
	must(t, os.Rename(dir+"/file~", dir+"/file"))
	time.Sleep(300 * time.Millisecond)
	if used := threadTimes(t) - began; used > 100*time.Millisecond {
		t.Errorf("%v of processor time while it is waited for", used)
	}
	told(t, tr, func() error { return held.Close() }, "file new file")
}
