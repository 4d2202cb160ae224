package image

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"stackrun.dev/stack/engine"
)

func TestLookUpIsWhatPullBrings(t *testing.T) {
	addr := startRegistry(t, "")
	s, _ := open(t)
	name := addr + "/team/app:1"
	twoLayers(t, s, name)
	if err := s.Push(t.Context(), name, image.PushOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	here, err := s.Inspect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{name, here.RepoDigests[0]} {
		d, err := LookUp(t.Context(), ref, "")
		if err != nil {
			t.Fatal(err)
		}
		if want := addr + "/team/app@" + d.Descriptor.Digest.String(); here.RepoDigests[0] != want {
			t.Errorf("%s: digest is %s, the image has %s", ref, want, here.RepoDigests[0])
		}
		if want := []ocispec.Platform{{OS: here.Os, Architecture: here.Architecture}}; !reflect.DeepEqual(d.Platforms, want) {
			t.Errorf("%s: platforms are %v, want %v", ref, d.Platforms, want)
		}
	}
	if _, err := LookUp(t.Context(), addr+"/team/app:none", ""); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	if _, err := LookUp(t.Context(), "UPPER", ""); !errors.Is(err, engine.ErrInvalid) {
		t.Errorf("error is %v", err)
	}
}

func TestLookUpInLyingRegistries(t *testing.T) {
	encode := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	config := []byte(`{"os":"linux","architecture":"riscv64"}`)
	manifest := func(config ocispec.Descriptor) []byte {
		config.MediaType = ocispec.MediaTypeImageConfig
		return encode(ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config})
	}
	honest := ocispec.Descriptor{Digest: digest.FromBytes(config), Size: int64(len(config))}
	for _, tc := range []struct {
		name     string
		manifest []byte
		claim    digest.Digest // the digest that the registry claims for the tag
		config   []byte
		want     string
	}{
		{name: "the truth", manifest: manifest(honest), config: config},
		{name: "another manifest", manifest: manifest(honest), claim: digest.FromString("x"), config: config, want: "where " + digest.FromString("x").String() + " was asked for"},
		{name: "another configuration", manifest: manifest(honest), config: []byte(`{"os":"linux","architecture":"other64"}`), want: "was asked for"},
		{name: "a huge configuration", manifest: manifest(ocispec.Descriptor{Digest: honest.Digest, Size: 1 << 40}), config: config, want: "where at most"},
		{name: "an invalid digest", manifest: manifest(ocispec.Descriptor{Digest: "sha256:../x", Size: 1}), config: config, want: "invalid digest"},
		{name: "no JSON", manifest: []byte("{"), config: config, want: "cannot read"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sum := digest.FromBytes(tc.manifest)
			fake := &fakeRegistry{
				manifests: map[string][]byte{"1": tc.manifest, sum.String(): tc.manifest, tc.claim.String(): tc.manifest},
				digests:   map[string]string{"1": tc.claim.String()},
				blobs:     map[string][]byte{honest.Digest.String(): tc.config},
			}
			server := httptest.NewServer(fake)
			defer server.Close()
			d, err := LookUp(context.Background(), strings.TrimPrefix(server.URL, "http://")+"/app:1", "")
			if tc.want == "" {
				if err != nil || d.Descriptor.Digest != sum || len(d.Platforms) != 1 || d.Platforms[0].Architecture != "riscv64" {
					t.Errorf("%+v, %v", d, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}
