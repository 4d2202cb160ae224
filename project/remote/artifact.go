package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What Docker Compose calls the parts of a project in a registry
// (https://github.com/docker/compose, internal/oci).
const (
	projectType     = "application/vnd.docker.compose.project"
	fileType        = "application/vnd.docker.compose.file+yaml"
	envFileType     = "application/vnd.docker.compose.envfile"
	emptyConfigType = "application/vnd.docker.compose.config.empty.v1+json"

	versionAnnotation = "com.docker.compose.version" // of the program that made the artifact
	fileAnnotation    = "com.docker.compose.file"    // the name of a Compose file
	extendsAnnotation = "com.docker.compose.extends" // set: the file is one that others extend
	envFileAnnotation = "com.docker.compose.envfile" // the name of an env file
)

// mainFile is the name in the cache of an artifact's Compose files, which become the documents of one.
const mainFile = "compose.yaml"

// What an artifact may have. Compose files are written by hand.
const (
	layerLimit    = 8 << 20
	artifactLimit = 32 << 20
	layersLimit   = 500
)

// unpacking is the state of writing an artifact's files.
type unpacking struct {
	dir     string
	main    []byte
	written map[string]digest.Digest
}

// unpack writes the artifact's files into dir.
func (c *connection) unpack(ctx context.Context, m *ocispec.Manifest, dir string) error {
	if len(m.Layers) > layersLimit {
		return fmt.Errorf("it has %d layers; at most %d are fetched", len(m.Layers), layersLimit)
	}
	u := &unpacking{dir: dir, written: make(map[string]digest.Digest)}
	left := int64(artifactLimit)
	for _, layer := range m.Layers {
		if layer.MediaType != fileType && layer.MediaType != envFileType {
			continue
		}
		content, err := c.read(ctx, layer, min(layerLimit, left))
		if err != nil {
			return err
		}
		left -= layer.Size
		if err := u.add(layer, content); err != nil {
			return err
		}
	}
	if u.main == nil {
		return errors.New("it has no compose file")
	}
	return os.WriteFile(filepath.Join(dir, mainFile), u.main, 0o600)
}

func (u *unpacking) add(layer ocispec.Descriptor, content []byte) error {
	annotation := envFileAnnotation
	if layer.MediaType == fileType {
		if _, ok := layer.Annotations[extendsAnnotation]; !ok {
			u.addMain(content)
			return nil
		}
		annotation = fileAnnotation
	}
	name := layer.Annotations[annotation]
	if err := checkFileName(name); err != nil {
		return err
	}
	if before, ok := u.written[name]; ok {
		if before != layer.Digest {
			return fmt.Errorf("it has two different files %q", name)
		}
		return nil
	}
	u.written[name] = layer.Digest
	return os.WriteFile(filepath.Join(u.dir, name), content, 0o600)
}

// addMain appends a Compose file as a further document, which is merged like a further file.
func (u *unpacking) addMain(content []byte) {
	if u.main != nil {
		u.main = append(u.main, "\n---\n"...)
	}
	u.main = append(u.main, content...)
	if u.main == nil {
		u.main = []byte{}
	}
}

// checkFileName refuses names that are more than a name, and the one that is ours.
func checkFileName(name string) error {
	bad := name == "" || name == "." || name == ".." || len(name) > 255 || strings.EqualFold(name, mainFile) ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == '\\' || r == ':' })
	if bad {
		return fmt.Errorf("a file in it is called %q, which is refused", name)
	}
	return nil
}
