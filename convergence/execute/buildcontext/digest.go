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
			if err := digestFolder(h, folderAlone(b, folder)); err != nil {
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

// Sends says whether the build would send the file to the engine, if it were there. path is absolute. Further contexts, and builds
// that come before it, count.
func Sends(b *desired.Build, path string) (bool, error) {
	folders := []*desired.Build{b}
	for _, folder := range b.Kit.Contexts {
		if filepath.IsAbs(folder) {
			folders = append(folders, folderAlone(b, folder))
		}
	}
	for _, folder := range folders {
		if sends, err := sendsFrom(folder, path); sends || err != nil {
			return sends, err
		}
	}
	for _, first := range b.After {
		if sends, err := Sends(first, path); sends || err != nil {
			return sends, err
		}
	}
	return false, nil
}

func sendsFrom(b *desired.Build, path string) (bool, error) {
	if Remote(b) {
		return false, nil
	}
	rel, err := filepath.Rel(withoutLinks(b.Context), filepath.Join(withoutLinks(filepath.Dir(path)), filepath.Base(path)))
	if err != nil || !filepath.IsLocal(rel) {
		return false, nil
	}
	p := &packer{root: b.Context, dockerfile: DockerfileName(b)}
	if err := p.prepare(b); err != nil {
		return false, err
	}
	ignored, err := p.ignore.MatchesOrParentMatches(rel)
	return !ignored, err
}

// withoutLinks is where the folder really is; one that is not there is where its name says.
func withoutLinks(folder string) string {
	if real, err := filepath.EvalSymlinks(folder); err == nil {
		return real
	}
	return folder
}

// folderAlone is a further context of a build, as a build of its own.
func folderAlone(b *desired.Build, folder string) *desired.Build {
	return &desired.Build{Service: b.Service, Context: folder, Inline: "FROM scratch"}
}

// writeInfo leaves out the times and sizes of directories, which change with what is ignored in them, too.
func writeInfo(h hash.Hash, name string, info fs.FileInfo) {
	if info.IsDir() {
		fmt.Fprintf(h, "%q %o\n", name, info.Mode())
		return
	}
	fmt.Fprintf(h, "%q %o %d %d\n", name, info.Mode(), info.Size(), info.ModTime().UnixNano())
}
