package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// mountpoints is a layer below the layers of every container: the directories and files on which the engine mounts
// something in each of them. An image that brings them itself hides it; in others the runtime need not make them in the
// container's own layer, which for so many small files costs more than everything else about starting a container.
type mountpoints struct {
	mu   sync.Mutex
	made bool
}

// layer makes the layer at dir, unless it is there, and returns dir.
func (m *mountpoints) layer(dir string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made {
		return dir, nil
	}
	for _, name := range []string{".", "dev", "etc", "proc", "sys"} {
		if err := makeDir(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("cannot make the layer of mount points: %w", err)
		}
	}
	for _, name := range []string{"hostname", "hosts", "resolv.conf"} {
		if err := writeFile(filepath.Join(dir, "etc", name), ""); err != nil {
			return "", fmt.Errorf("cannot make the layer of mount points: %w", fullDisk(err))
		}
	}
	m.made = true
	return dir, nil
}

// makeDir makes a directory that containers can enter, whatever the engine's file mode mask says.
func makeDir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fullDisk(err)
	}
	return os.Chmod(path, 0o755)
}
