package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/go-units"

	"stackrun.dev/stack/engine"
	"stackrun.dev/stack/engine/embedded/image"
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
	r := request{
		// The frontend takes an image from its registry over itself unless it has a command line of its own; the one
		// that is embedded is the one to use.
		attrs:      map[string]string{"filename": clean, "target": opts.Target, "cmdline": "docker/dockerfile", "image-resolve-mode": "local"},
		dockerfile: clean,
		tags:       opts.Tags,
		quiet:      opts.SuppressOutput,
		auth:       opts.AuthConfigs,
		sharedKey:  sharedKey(opts, clean),
	}
	if opts.PullParent {
		r.attrs["image-resolve-mode"] = "pull"
	}
	if opts.NoCache {
		r.attrs["no-cache"] = ""
	}
	if opts.Platform != "" {
		r.attrs["platform"] = opts.Platform
	}
	for k, v := range opts.BuildArgs {
		if v != nil { // without a value it is the client's environment's, which has none here
			r.attrs["build-arg:"+k] = *v
		}
	}
	for k, v := range opts.Labels {
		r.attrs["label:"+k] = v
	}
	if err := r.setRemote(opts.RemoteContext); err != nil {
		return request{}, err
	}
	if err := r.setNetwork(opts.NetworkMode, opts.ExtraHosts); err != nil {
		return request{}, err
	}
	r.setLimits(opts)
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

func (r *request) setNetwork(mode string, hosts []string) error {
	switch mode {
	case "", "default", "bridge":
	case "none", "host":
		r.attrs["force-network-mode"] = mode
		r.hostNet = mode == "host"
	default:
		return engine.Errorf(engine.ErrUnsupported, "cannot build on network %q; there are default, host and none", mode)
	}
	entries := make([]string, 0, len(hosts))
	for _, h := range hosts {
		name, ip, ok := strings.Cut(h, "=")
		if !ok {
			name, ip, ok = strings.Cut(h, ":")
		}
		if !ok {
			return engine.Errorf(engine.ErrInvalid, "cannot read the extra host %q: it is not name:address", h)
		}
		entries = append(entries, name+"="+strings.Trim(ip, "[]"))
	}
	if len(entries) > 0 {
		r.attrs["add-hosts"] = strings.Join(entries, ",")
	}
	return nil
}

func (r *request) setLimits(opts build.ImageBuildOptions) {
	number := func(key string, v int64) {
		if v != 0 {
			r.attrs[key] = strconv.FormatInt(v, 10)
		}
	}
	text := func(key, v string) {
		if v != "" {
			r.attrs[key] = v
		}
	}
	number("shm-size", opts.ShmSize)
	number("memory", opts.Memory)
	number("memswap", opts.MemorySwap)
	number("cpushares", opts.CPUShares)
	number("cpuperiod", opts.CPUPeriod)
	number("cpuquota", opts.CPUQuota)
	text("cpusetcpus", opts.CPUSetCPUs)
	text("cpusetmems", opts.CPUSetMems)
	text("cgroup-parent", opts.CgroupParent)
	ulimits := make([]string, 0, len(opts.Ulimits))
	for _, u := range opts.Ulimits {
		ulimits = append(ulimits, (&units.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard}).String())
	}
	text("ulimit", strings.Join(ulimits, ","))
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
