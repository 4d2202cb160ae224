package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// LockProject takes the lock that keeps two runs on one project of one engine apart. It is kept in the run directory,
// so it holds on this machine only. If another process has it, waiting is called once with that process's ID.
func LockProject(ctx context.Context, run, host, project string, waiting func(pid int)) (*Lock, error) {
	dir := filepath.Join(run, "projects")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of locks: %w", err)
	}
	sum := sha256.Sum256([]byte(host + "\x00" + project))
	return Acquire(ctx, filepath.Join(dir, hex.EncodeToString(sum[:8])+".lock"), waiting)
}
