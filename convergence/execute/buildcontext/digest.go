package buildcontext

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"stackrun.dev/stack/convergence/desired"
)

// Digest stands for the files of this machine that a build is made of: the names, sizes, modes and times of what it sends, further
// contexts and builds that come before it included. Contents are not read. What is fetched from elsewhere has no part in it.
func Digest(b *desired.Build) (string, error) {
	h := sha256.New()
	if err := digest(h, b); err != nil {
		return "", fmt.Errorf("cannot look at what %s is built from: %w", b.Service, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func digest(h hash.Hash, b *desired.Build) error {
	if b.Inline == "" && (filepath.IsAbs(b.Dockerfile) || !Remote(b)) {
		info, err := os.Stat(dockerfilePath(b))
		if err != nil {
			return err
		}
		writeInfo(h, dockerfilePath(b), info)
	}
	if !Remote(b) {
		if err := digestFolder(h, b); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Kit.Contexts)) {
		if folder := b.Kit.Contexts[name]; filepath.IsAbs(folder) {
			if err := digestFolder(h, &desired.Build{Service: b.Service, Context: folder, Inline: "FROM scratch"}); err != nil {
				return err
			}
		}
	}
	for _, first := range b.After {
		if err := digest(h, first); err != nil {
			return err
		}
	}
	return nil
}

func digestFolder(h hash.Hash, b *desired.Build) error {
	p := &packer{root: b.Context, dockerfile: DockerfileName(b)}
	if err := p.prepare(b); err != nil {
		return err
	}
	fmt.Fprintf(h, "folder %q\n", b.Context)
	p.take = func(_ *os.Root, name string, d fs.DirEntry) error {
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since the directory was read
		}
		if err == nil {
			writeInfo(h, name, info)
		}
		return err
	}
	return p.walk()
}

// writeInfo leaves out the times and sizes of directories, which change with what is ignored in them, too.
func writeInfo(h hash.Hash, name string, info fs.FileInfo) {
	if info.IsDir() {
		fmt.Fprintf(h, "%q %o\n", name, info.Mode())
		return
	}
	fmt.Fprintf(h, "%q %o %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
}
