package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/registry"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
	"stackrun.dev/stack/internal/buildkit"
)

// request is what a build asks for, in the terms of the Dockerfile frontend.
type request struct {
	attrs      map[string]string
	dockerfile string // relative to the context, for messages
	tags       []string
	remote     bool   // the context is not sent but fetched
	sharedKey  string // the same for builds that are likely to send nearly the same context
	quiet      bool
	hostNet    bool
	auth       map[string]registry.AuthConfig // by registry
}

// newRequest translates Docker's options. What cannot be done is refused, by its name in Docker's API.
func newRequest(opts build.ImageBuildOptions) (request, error) {
	if err := refuseUnsupported(opts); err != nil {
		return request{}, err
	}
	for _, tag := range opts.Tags {
		if err := image.CheckName(tag); err != nil {
			return request{}, err
		}
	}
	dockerfile := opts.Dockerfile
	if dockerfile == "" {
		dockerfile = "Dockerfile"
	}
	clean := strings.TrimPrefix(path.Clean("/"+dockerfile), "/")
	attrs, err := buildkit.Attrs(opts)
	if err != nil {
		return request{}, err
	}
	attrs["filename"], attrs["cmdline"] = clean, embeddedFrontend
	r := request{
		attrs:      attrs,
		dockerfile: clean,
		tags:       opts.Tags,
		quiet:      opts.SuppressOutput,
		auth:       opts.AuthConfigs,
		sharedKey:  sharedKey(opts, clean),
		hostNet:    opts.NetworkMode == "host",
	}
	if err := r.setRemote(opts.RemoteContext); err != nil {
		return request{}, err
	}
	return r, r.setCacheFrom(opts.CacheFrom)
}

func refuseUnsupported(opts build.ImageBuildOptions) error {
	refuse := func(what string) error {
		return engine.Errorf(engine.ErrUnsupported, "cannot build with %s: this engine does not have it", what)
	}
	switch {
	case opts.Squash:
		return refuse("squash")
	case opts.SessionID != "":
		return refuse("a session")
	case len(opts.SecurityOpt) > 0:
		return refuse("security options")
	case opts.Isolation != "" && !opts.Isolation.IsDefault():
		return refuse("isolation " + string(opts.Isolation))
	case strings.Contains(opts.Platform, ","):
		return refuse("several platforms")
	}
	for _, out := range opts.Outputs {
		if out.Type != "moby" && out.Type != "image" {
			return refuse("the output " + out.Type)
		}
	}
	return nil
}

// sharedKey lets a build find the files that the last one of its kind has sent.
func sharedKey(opts build.ImageBuildOptions, dockerfile string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q", opts.Tags, dockerfile, opts.Target)
	return hex.EncodeToString(h.Sum(nil))
}

func (r *request) setRemote(remote string) error {
	if remote == "" || remote == "client-session" {
		return nil
	}
	u, err := url.Parse(remote)
	if err != nil || u.Scheme == "" && !strings.HasPrefix(remote, "git@") && !strings.HasPrefix(remote, "github.com/") {
		return engine.Errorf(engine.ErrInvalid, "cannot build from %q: it is not an address", remote)
	}
	r.remote, r.attrs["context"] = true, remote
	return nil
}

// setCacheFrom imports the cache that images have inside them.
func (r *request) setCacheFrom(refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	type entry struct {
		Type  string            `json:"Type"`
		Attrs map[string]string `json:"Attrs"`
	}
	entries := make([]entry, len(refs))
	for i, ref := range refs {
		entries[i] = entry{Type: "registry", Attrs: map[string]string{"ref": ref}}
	}
	data, err := json.Marshal(entries)
	if err != nil {
		return err
	}
	r.attrs["cache-imports"] = string(data)
	return nil
}
