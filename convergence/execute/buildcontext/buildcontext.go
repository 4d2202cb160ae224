// Package buildcontext packs a directory as the build context that an engine takes: a tar without what .dockerignore
// names, and with the Dockerfile wherever that is.
package buildcontext

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/project"
)

const (
	defaultDockerfile = "Dockerfile"
	ignoreName        = ".dockerignore"
)

// DockerfileName is where the Dockerfile is in the context that Open packs.
func DockerfileName(b *desired.Build) string {
	if b.Inline != "" {
		return fmt.Sprintf(".dockerfile.%x", sha256.Sum256([]byte(b.Inline)))[:32]
	}
	path := dockerfilePath(b)
	rel, err := filepath.Rel(b.Context, path)
	if err != nil || !filepath.IsLocal(rel) {
		return fmt.Sprintf(".dockerfile.%x", sha256.Sum256([]byte(path)))[:32]
	}
	return filepath.ToSlash(rel)
}

func dockerfilePath(b *desired.Build) string {
	name := b.Dockerfile
	if name == "" {
		name = defaultDockerfile
	}
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(b.Context, name)
}

// InContext is the Dockerfile's path relative to the context, and whether it is in there.
func InContext(b *desired.Build) (rel string, inside bool) {
	if Remote(b) && !filepath.IsAbs(b.Dockerfile) {
		return cmp.Or(b.Dockerfile, defaultDockerfile), true
	}
	rel, err := filepath.Rel(b.Context, dockerfilePath(b))
	return filepath.ToSlash(rel), err == nil && filepath.IsLocal(rel)
}

// Remote says whether the context is an address that the engine fetches.
func Remote(b *desired.Build) bool {
	return strings.Contains(b.Context, "://") || strings.HasPrefix(b.Context, "git@") || strings.HasPrefix(b.Context, "github.com/")
}

// Check looks whether the context and the Dockerfile are there. The error is of kind engine.ErrInvalid.
func Check(b *desired.Build) error {
	if !Remote(b) {
		if info, err := os.Stat(b.Context); err != nil || !info.IsDir() {
			return engine.Errorf(engine.ErrInvalid, "cannot build %s: the build context %s is not a directory", b.Service, b.Context)
		}
	}
	if b.Inline != "" || Remote(b) && !filepath.IsAbs(b.Dockerfile) {
		return nil
	}
	f, err := os.Open(dockerfilePath(b))
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot build %s: cannot read the Dockerfile: %w", b.Service, err)
	}
	return f.Close()
}

// Open packs the context while it is read; closing it early stops that. A missing directory or Dockerfile is an error at
// once, of kind engine.ErrInvalid.
func Open(b *desired.Build) (io.ReadCloser, error) {
	if Remote(b) {
		return nil, engine.Errorf(engine.ErrUnsupported, "cannot build %s: the context %s is remote, and this engine does not offer its BuildKit", b.Service, b.Context)
	}
	if err := Check(b); err != nil {
		return nil, err
	}
	p := &packer{root: b.Context, dockerfile: DockerfileName(b)}
	if err := p.prepare(b); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(p.pack(w)) }()
	return r, nil
}

type packer struct {
	root       string
	dockerfile string // its name in the tar
	content    []byte // of a Dockerfile that is not in the context; nil if it is
	ignore     *patternmatcher.PatternMatcher
	tar        *tar.Writer
	take       func(root *os.Root, name string, d fs.DirEntry) error // what is done with each part of the context
}

func (p *packer) prepare(b *desired.Build) error {
	path := dockerfilePath(b)
	switch {
	case b.Inline != "":
		p.content = []byte(b.Inline)
	default:
		content, err := os.ReadFile(path)
		if err != nil {
			return engine.Errorf(engine.ErrInvalid, "cannot build %s: cannot read the Dockerfile: %w", b.Service, err)
		}
		if strings.HasPrefix(p.dockerfile, ".dockerfile.") {
			p.content = content
		}
	}
	patterns, err := project.ReadDockerignore(b.Context, path)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot build %s: %w", b.Service, err)
	}
	patterns = append(patterns, "!"+ignoreName, "!"+p.dockerfile)
	p.ignore, err = patternmatcher.New(patterns)
	if err != nil {
		return engine.Errorf(engine.ErrInvalid, "cannot build %s: cannot understand %s: %w", b.Service, ignoreName, err)
	}
	return nil
}

func (p *packer) pack(w io.Writer) error {
	p.tar, p.take = tar.NewWriter(w), p.add
	if err := p.walk(); err != nil {
		return fmt.Errorf("cannot pack the build context: %w", err)
	}
	if p.content != nil {
		h := &tar.Header{Name: p.dockerfile, Size: int64(len(p.content)), Mode: 0o644}
		if err := p.tar.WriteHeader(h); err != nil {
			return err
		}
		if _, err := p.tar.Write(p.content); err != nil {
			return err
		}
	}
	return p.tar.Close()
}

// walk takes every part of the context, in the order of the names.
func (p *packer) walk() error {
	root, err := os.OpenRoot(p.root)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // read only
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return p.visit(root, name, d)
	})
}

func (p *packer) visit(root *os.Root, name string, d fs.DirEntry) error {
	if name == "." {
		return nil
	}
	ignored, err := p.ignore.MatchesOrParentMatches(filepath.FromSlash(name))
	if err != nil {
		return err
	}
	if ignored {
		if d.IsDir() && !p.mayInclude(name) {
			return fs.SkipDir
		}
		return nil
	}
	return p.take(root, name, d)
}

// mayInclude says whether an exception ("!pattern") could match something below the directory.
func (p *packer) mayInclude(dir string) bool {
	if !p.ignore.Exclusions() {
		return false
	}
	for _, pattern := range p.ignore.Patterns() {
		if pattern.Exclusion() && (strings.HasPrefix(pattern.String()+"/", dir+"/") || strings.ContainsAny(pattern.String(), "*?[")) {
			return true
		}
	}
	return false
}

func (p *packer) add(root *os.Root, name string, d fs.DirEntry) error {
	info, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the directory was read
	}
	if err != nil {
		return err
	}
	link := ""
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if link, err = root.Readlink(name); err != nil {
			return err
		}
	case info.Mode()&fs.ModeSocket != 0:
		return nil // a tar has no sockets
	}
	if info.Mode().IsRegular() {
		return p.addFile(root, name)
	}
	return p.header(name, info, link)
}

func (p *packer) header(name string, info fs.FileInfo, link string) error {
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name = name
	if info.IsDir() {
		h.Name += "/"
	}
	h.Uid, h.Gid, h.Uname, h.Gname = 0, 0, "", ""
	return p.tar.WriteHeader(h)
}

// addFile packs as much of a file as it had when it was opened: a log may grow all the time.
func (p *packer) addFile(root *os.Root, name string) error {
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its directory was read
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := p.header(name, info, ""); err != nil || !info.Mode().IsRegular() {
		return err
	}
	_, err = io.CopyN(p.tar, f, info.Size())
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s became shorter while it was read; build again", name)
	}
	return err
}
