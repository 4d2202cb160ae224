package remote_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/project/remote"
)

// get asks the real registry.
func get(t *testing.T, url, accept string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", url, res.Status, text, err)
	}
	return text
}

func TestPublishIsWhatFetchBrings(t *testing.T) {
	registry := startRegistry(t, "")
	oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
	files := []remote.File{
		{Name: "compose.yaml", Kind: remote.Main, Content: []byte("name: a\n")},
		{Name: "prod.yaml", Kind: remote.Main, Content: []byte("services: {}\n")},
		{Name: "0123.yaml", Kind: remote.Extended, Content: []byte("x")},
		{Name: "4567.env", Kind: remote.Env, Content: []byte("A=1")},
		{Name: "89.env", Kind: remote.Env, Content: nil},
	}
	for version, artifactType := range map[string]string{remote.VersionAny: projectType, remote.Version1_1: projectType, remote.Version1_0: ""} {
		name := registry + "/team/app" + strings.ReplaceAll(version, ".", "-")
		created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		pinned, err := oci.Publish(t.Context(), name, remote.Publication{Files: files, Version: version, Program: "v9", Created: created})
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(get(t, "http://"+strings.Replace(name, "/", "/v2/", 1)+"/manifests/latest", ocispec.MediaTypeImageManifest), &m); err != nil {
			t.Fatal(err)
		}
		if m.ArtifactType != artifactType || artifactType == "" && m.Config.MediaType != oldConfig || m.Annotations[ocispec.AnnotationCreated] != "2026-01-02T03:04:05Z" {
			t.Errorf("%q: manifest is %+v", version, m)
		}
		if l := m.Layers[0]; l.MediaType != fileType || l.Annotations["com.docker.compose.version"] != "v9" || l.Annotations["com.docker.compose.file"] != "compose.yaml" {
			t.Errorf("%q: first layer is %+v", version, l)
		}
		root, file, err := oci.Fetch(t.Context(), "oci://"+name+"@"+pinned.String())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"compose.yaml": "name: a\n\n---\nservices: {}\n", "0123.yaml": "x", "4567.env": "A=1", "89.env": ""}
		if got := contents(t, root); !maps.Equal(got, want) || file != filepath.Join(root, "compose.yaml") {
			t.Errorf("%q: fetched %q", version, got)
		}
	}
}

func TestPublishWithImages(t *testing.T) {
	registry := startRegistry(t, "")
	image := newArtifact(layer{"layer", ocispec.MediaTypeImageLayer, nil})
	image.manifest.ArtifactType = ""
	pinned := image.push(t, registry, "images/web", "v1")
	pushIndex(t, registry, newArtifact(composeLayer("x", "x")), newArtifact(composeLayer("x", "x")).push(t, registry, "team/app", "in-list"))
	oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
	artifact, err := oci.Publish(t.Context(), registry+"/published/app:v1", remote.Publication{
		Files: []remote.File{{Name: "compose.yaml", Content: []byte("services: {}")}}, Images: []string{registry + "/images/web:v1", registry + "/team/app:indexed"},
	})
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + registry + "/v2/published/app"
	get(t, base+"/manifests/"+pinned.String(), ocispec.MediaTypeImageManifest)
	get(t, base+"/blobs/"+image.manifest.Layers[0].Digest.String(), "*/*")
	get(t, base+"/manifests/"+artifact.String(), ocispec.MediaTypeImageManifest)

	_, err = oci.Publish(t.Context(), registry+"/published/app:v2", remote.Publication{Images: []string{registry + "/images/none:v1"}})
	if err == nil || !strings.Contains(err.Error(), "image "+registry+"/images/none:v1: ") || !strings.Contains(err.Error(), "no such artifact") {
		t.Errorf("error is %v", err)
	}
}

// Lists of images in lists of images are followed so far, and no further.
func TestPublishNestedImages(t *testing.T) {
	registry := startRegistry(t, "")
	image := newArtifact(layer{"layer", ocispec.MediaTypeImageLayer, nil})
	image.manifest.ArtifactType = ""
	inner := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: image.push(t, registry, "nested", "0"), Size: int64(len(image.json(t)))}
	for depth := 1; depth <= 4; depth++ {
		list := newArtifact()
		list.manifest.MediaType, list.list = ocispec.MediaTypeImageIndex, []ocispec.Descriptor{inner}
		name := fmt.Sprintf("%d", depth)
		inner = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: list.push(t, registry, "nested", name), Size: int64(len(list.json(t)))}
		_, err := remote.NewOCI(remote.OCIOptions{}).Publish(t.Context(), registry+"/out", remote.Publication{Images: []string{registry + "/nested:" + name}})
		if tooDeep := err != nil && strings.Contains(err.Error(), "more than 4 deep"); tooDeep != (depth == 4) || err != nil && !tooDeep {
			t.Errorf("%d deep: %v", depth, err)
		}
	}
}

func TestPublishMistakes(t *testing.T) {
	oci := remote.NewOCI(remote.OCIOptions{Cache: t.TempDir()})
	for name, want := range map[string]string{
		"UPPER":                               "must be lowercase",
		"127.0.0.1:1/app":                     "connection refused",
		"x@sha256:" + strings.Repeat("0", 64): "a digest is the outcome",
	} {
		_, err := oci.Publish(t.Context(), name, remote.Publication{Files: []remote.File{{Name: "compose.yaml", Content: []byte("x")}}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "cannot publish to "+name) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
