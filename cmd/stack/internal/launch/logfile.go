package launch

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxLogSize is how big the engine's log grows before it is put aside; one older file is kept.
const maxLogSize = 4 << 20

// logFile is the engine's own log. Standard output and error of the engine's process lead to it too, so that the last
// words of a crash are there.
type logFile struct {
	path  string
	limit int64
	std   []int // descriptors that follow the file when it is put aside

	mu   sync.Mutex
	file *os.File
	size int64
}

func openLog(path string, limit int64, std ...int) (*logFile, error) {
	l := &logFile{path: path, limit: limit, std: std}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the engine's log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("cannot open the engine's log: %w", err)
	}
	l.file, l.size = f, info.Size()
	for _, fd := range l.std {
		if err := unix.Dup3(int(f.Fd()), fd, 0); err != nil {
			return fmt.Errorf("cannot redirect the engine's output to its log: %w", err)
		}
	}
	return nil
}

// Write appends p and puts the file aside before it grows over the limit.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotate() error {
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		return fmt.Errorf("cannot put the engine's log aside: %w", err)
	}
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}
