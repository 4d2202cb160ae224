// Package buildkit is what both ends of a build share: the engine that embeds BuildKit, and the loop that speaks with the
// BuildKit of an engine. It translates Docker's options into those of the Dockerfile frontend, the solver's messages into
// lines, and its errors into ones that name the Dockerfile's line.
package buildkit

import (
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/go-units"

	"stackrun.dev/stack/engine"
)

// Attrs are the options of the Dockerfile frontend that say what Docker's do: target, arguments, labels, network, limits and
// so on; not the context, the Dockerfile, names and caches. A build argument without a value is left out.
func Attrs(opts build.ImageBuildOptions) (map[string]string, error) {
	attrs := map[string]string{"target": opts.Target, "image-resolve-mode": "local"}
	if opts.PullParent {
		attrs["image-resolve-mode"] = "pull"
	}
	if opts.NoCache {
		attrs["no-cache"] = ""
	}
	if opts.Platform != "" {
		attrs["platform"] = opts.Platform
	}
	for k, v := range opts.BuildArgs {
		if v != nil {
			attrs["build-arg:"+k] = *v
		}
	}
	for k, v := range opts.Labels {
		attrs["label:"+k] = v
	}
	setLimits(attrs, opts)
	return attrs, setNetwork(attrs, opts.NetworkMode, opts.ExtraHosts)
}

func setNetwork(attrs map[string]string, mode string, hosts []string) error {
	switch mode {
	case "", "default", "bridge":
	case "none", "host":
		attrs["force-network-mode"] = mode
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
		attrs["add-hosts"] = strings.Join(entries, ",")
	}
	return nil
}

func setLimits(attrs map[string]string, opts build.ImageBuildOptions) {
	number := func(key string, v int64) {
		if v != 0 {
			attrs[key] = strconv.FormatInt(v, 10)
		}
	}
	text := func(key, v string) {
		if v != "" {
			attrs[key] = v
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
