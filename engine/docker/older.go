package docker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/versions"

	"stackrun.dev/stack/engine"
)

// Versions of the API (docs.docker.com/reference/api/engine/version-history) from which on an engine does what is told
// here. One before ignores unknown fields without a word; we do not.
const (
	stopSignals      = "1.42" // a stop's signal
	annotations      = "1.43"
	severalEndpoints = "1.44" // more than one network, and the MAC address of each, when a container is created
	startIntervals   = "1.44" // a health check's start interval
	forcedReadOnly   = "1.44" // mounts below a mount that are read-only too
	volumeSubpaths   = "1.45"
	tmpfsOptions     = "1.46"
	gatewayPriority  = "1.48"
	interfaceNames   = "1.48"
	withoutIPv4      = "1.48"
)

// interfaceName is the endpoint option that names the interface inside the container.
const interfaceName = "com.docker.network.endpoint.ifname"

// version is what was agreed on with the engine. The first call agrees.
func (e *Engine) version(ctx context.Context) (string, error) {
	if err := e.api.NewVersionError(ctx, "1.24", "this program"); err != nil {
		return "", e.failed(err)
	}
	return e.api.ClientVersion(), nil
}

// requires fails if the engine does not know a feature that was asked for.
func (e *Engine) requires(ctx context.Context, since, feature string) error {
	v, err := e.version(ctx)
	if err == nil && versions.LessThan(v, since) {
		err = lacks(v, since, feature)
	}
	return err
}

func lacks(version, since, feature string) error {
	return engine.Errorf(engine.ErrUnsupported, "cannot set %s: this engine speaks version %s of the API, and that came with %s", feature, version, since)
}

// fitted is a configuration that an engine can carry out, and what has to be done beside creating the container.
type fitted struct {
	engine.CreateConfig
	version string
	connect []endpoint // networks to connect to afterwards
	notes   []string   // what has no effect
}

type endpoint struct {
	network  string
	settings *network.EndpointSettings
}

// fit fits a configuration to a version of the API. What the engine would ignore is noted where the container works
// without it, and else refused. The configuration itself is not changed.
func fit(cfg engine.CreateConfig, version string) (*fitted, error) {
	f := &fitted{CreateConfig: cfg, version: version}
	f.Networking = withEndpoints(cfg.Networking)
	f.settings()
	if err := f.mounts(); err != nil {
		return nil, err
	}
	return f, f.endpoints()
}

func (f *fitted) before(since string) bool { return versions.LessThan(f.version, since) }

func (f *fitted) note(since, feature string) {
	f.notes = append(f.notes, feature+" has no effect: this engine speaks version "+f.version+" of the API, and that came with "+since)
}

// settings takes away what an engine would ignore and a container works without.
func (f *fitted) settings() {
	if f.Host != nil && len(f.Host.Annotations) > 0 && f.before(annotations) {
		f.note(annotations, "annotations")
	}
	if f.Config == nil || f.Config.Healthcheck == nil || f.Config.Healthcheck.StartInterval == 0 || !f.before(startIntervals) {
		return
	}
	f.note(startIntervals, "the start_interval of the health check")
	config, check := *f.Config, *f.Config.Healthcheck
	check.StartInterval = 0
	config.Healthcheck = &check
	f.Config = &config
}

func (f *fitted) mounts() error {
	if f.Host == nil {
		return nil
	}
	for _, m := range f.Host.Mounts {
		for _, option := range []struct {
			since, feature string
			set            bool
		}{
			{forcedReadOnly, "recursive: readonly", m.BindOptions != nil && m.BindOptions.ReadOnlyForceRecursive},
			{volumeSubpaths, "the subpath", m.VolumeOptions != nil && m.VolumeOptions.Subpath != ""},
			{tmpfsOptions, "the options", m.Type == mount.TypeTmpfs && m.TmpfsOptions != nil && len(m.TmpfsOptions.Options) > 0},
		} {
			if option.set && f.before(option.since) {
				return lacks(f.version, option.since, option.feature+" of the mount at "+m.Target)
			}
		}
	}
	return nil
}

// endpoints leaves one network for the creation, that of the network mode, where the engine takes one only.
func (f *fitted) endpoints() error {
	if f.Networking == nil {
		return nil
	}
	all := f.Networking.EndpointsConfig
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(f.rank(a), f.rank(b)), strings.Compare(a, b))
	})
	for _, name := range names {
		f.noteEndpoint(name, all[name])
	}
	if !f.before(severalEndpoints) || len(names) == 0 {
		return nil
	}
	first := f.withMacAddress(*all[names[0]])
	f.Networking = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{names[0]: &first}}
	for _, name := range names[1:] {
		if all[name].MacAddress != "" {
			return lacks(f.version, severalEndpoints, "mac_address on a network other than the first ("+name+")")
		}
		f.connect = append(f.connect, endpoint{name, all[name]})
	}
	return nil
}

// rank puts the network that the mode names first.
func (f *fitted) rank(name string) int {
	if f.Host != nil && name == string(f.Host.NetworkMode) {
		return 0
	}
	return 1
}

func (f *fitted) noteEndpoint(name string, e *network.EndpointSettings) {
	if e.GwPriority != 0 && f.before(gatewayPriority) {
		f.note(gatewayPriority, "gw_priority on network "+name)
	}
	if e.DriverOpts[interfaceName] != "" && f.before(interfaceNames) {
		f.note(interfaceNames, "interface_name on network "+name)
	}
}

// withMacAddress moves the address of the first endpoint to where it was before endpoints had one of their own.
func (f *fitted) withMacAddress(e network.EndpointSettings) network.EndpointSettings {
	if e.MacAddress != "" {
		config := container.Config{}
		if f.Config != nil {
			config = *f.Config
		}
		config.MacAddress = e.MacAddress //nolint:staticcheck // deprecated from 1.44 on, and the way before
		f.Config = &config
		e.MacAddress = ""
	}
	return e
}

// withEndpoints replaces settings that are nil, which Docker's client does not expect.
func withEndpoints(n *network.NetworkingConfig) *network.NetworkingConfig {
	if n == nil {
		return nil
	}
	all := make(map[string]*network.EndpointSettings, len(n.EndpointsConfig))
	for name, settings := range n.EndpointsConfig {
		if settings == nil {
			settings = &network.EndpointSettings{}
		}
		all[name] = settings
	}
	return &network.NetworkingConfig{EndpointsConfig: all}
}
