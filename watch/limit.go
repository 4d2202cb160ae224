package watch

import "fmt"

// Limit is the error of a source that may not watch as much as it is asked to.
type Limit struct {
	Name  string // the kernel's setting, such as fs.inotify.max_user_watches
	Value int    // what it is set to; 0: not known
	Raise int    // a value that does
	Of    string // what there cannot be more of
}

// Error says what to do.
func (l *Limit) Error() string {
	set := ""
	if l.Value > 0 {
		set = fmt.Sprintf(" (%d)", l.Value)
	}
	return fmt.Sprintf("the limit %s%s of %s is reached; raise it with: sudo sysctl -w %s=%d (in a file of /etc/sysctl.d it stays)",
		l.Name, set, l.Of, l.Name, l.Raise)
}

// Blind is the error of a source that does not hear of everything that happens in a directory, because others change it, too.
type Blind struct {
	Dir        string
	FileSystem string // such as nfs
}

// Error names the file system.
func (b *Blind) Error() string {
	return fmt.Sprintf("%s is on a %s file system: what is changed there from elsewhere is not told", b.Dir, b.FileSystem)
}
