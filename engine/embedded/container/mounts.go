package container

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/engine"
)

// PlanMounts lists what a container mounts, in the order in which Docker lets one override the other: what other
// containers have (volumes_from), then binds and mounts, then anonymous volumes at the paths that are left. Tmpfs of
// HostConfig.Tmpfs are not in the list. find looks up the containers of volumes_from. Anonymous volumes have no names yet.
func PlanMounts(cfg *container.Config, host *container.HostConfig, find func(ref string) (Record, error)) ([]Mount, error) {
	own, err := ownMounts(host)
	if err != nil {
		return nil, err
	}
	at := map[string]Mount{}
	if err := inherit(at, host.VolumesFrom, find); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, m := range own {
		if seen[m.Destination] {
			return nil, engine.Errorf(engine.ErrInvalid, "duplicate mount point: %s", m.Destination)
		}
		seen[m.Destination], at[m.Destination] = true, m
	}
	for target := range cfg.Volumes {
		destination, err := cleanDestination(target)
		if err != nil {
			return nil, err
		}
		if _, taken := at[destination]; !taken && !isTmpfs(host, destination) {
			at[destination] = Mount{Type: mount.TypeVolume, Destination: destination, Anonymous: true}
		}
	}
	all := make([]Mount, 0, len(at))
	for _, m := range at {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Mount) int { return strings.Compare(a.Destination, b.Destination) })
	return all, nil
}

func isTmpfs(host *container.HostConfig, destination string) bool {
	for target := range host.Tmpfs {
		if path.Clean(target) == destination {
			return true
		}
	}
	return false
}

func ownMounts(host *container.HostConfig) ([]Mount, error) {
	var all []Mount
	for _, bind := range host.Binds {
		m, err := parseBind(bind)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	for _, spec := range host.Mounts {
		m, err := fromSpec(spec)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func inherit(at map[string]Mount, from []string, find func(string) (Record, error)) error {
	for _, spec := range from {
		ref, mode, _ := strings.Cut(spec, ":")
		if ref == "" {
			return engine.Errorf(engine.ErrInvalid, "invalid volumes_from %q", spec)
		}
		other, err := find(ref)
		if err != nil {
			return err
		}
		options := Mount{}
		if err := applyMode(&options, mode); err != nil {
			return engine.Errorf(engine.ErrInvalid, "invalid volumes_from %q: %w", spec, err)
		}
		for _, m := range other.Mounts {
			if m.Type == mount.TypeTmpfs {
				continue
			}
			m.ReadOnly = m.ReadOnly || options.ReadOnly
			m.Anonymous, m.InheritedFrom = false, other.ID
			at[m.Destination] = m
		}
	}
	return nil
}

// parseBind reads "source:destination[:options]" and "destination" alone, which is an anonymous volume.
func parseBind(bind string) (Mount, error) {
	fields := strings.Split(bind, ":")
	invalid := engine.Errorf(engine.ErrInvalid, "invalid volume specification: %q", bind)
	m := Mount{Type: mount.TypeVolume}
	target, mode := "", ""
	switch len(fields) {
	case 1:
		target, m.Anonymous = fields[0], true
	case 3:
		mode = fields[2]
		fallthrough
	case 2:
		m.Source, target = fields[0], fields[1]
		if m.Source == "" || target == "" {
			return m, invalid
		}
	default:
		return m, invalid
	}
	destination, err := cleanDestination(target)
	if err != nil {
		return m, err
	}
	m.Destination = destination
	if err := applyMode(&m, mode); err != nil {
		return m, engine.Errorf(engine.ErrInvalid, "invalid volume specification: %q: %w", bind, err)
	}
	switch {
	case m.Anonymous:
	case strings.HasPrefix(m.Source, "/"):
		m.Type, m.CreateSource, m.Source = mount.TypeBind, true, path.Clean(m.Source)
		if m.Propagation == "" {
			m.Propagation = mount.PropagationRPrivate
		}
	case strings.Contains(m.Source, "/"):
		return m, engine.Errorf(engine.ErrInvalid,
			"invalid volume specification: %q: %q is neither a volume's name nor an absolute path", bind, m.Source)
	default:
		m.Name, m.Source = m.Source, ""
	}
	return m, nil
}

// applyMode reads the comma separated options of a bind.
func applyMode(m *Mount, mode string) error {
	m.Mode = mode
	for option := range strings.SplitSeq(mode, ",") {
		switch option {
		case "", "rw", "z", "Z", "consistent", "cached", "delegated", "default":
		case "ro":
			m.ReadOnly = true
		case "nocopy":
			m.NoCopy = true
		default:
			if !slices.Contains(mount.Propagations, mount.Propagation(option)) {
				return engine.Errorf(engine.ErrInvalid, "unknown option %q", option)
			}
			m.Propagation = mount.Propagation(option)
		}
	}
	return nil
}

func fromSpec(spec mount.Mount) (Mount, error) {
	destination, err := cleanDestination(spec.Target)
	if err != nil {
		return Mount{}, err
	}
	m := Mount{Type: spec.Type, Destination: destination, ReadOnly: spec.ReadOnly}
	switch spec.Type {
	case mount.TypeBind:
		return m, bindFromSpec(&m, spec)
	case mount.TypeVolume:
		volumeFromSpec(&m, spec)
		return m, nil
	case mount.TypeTmpfs:
		if spec.Source != "" {
			return m, engine.Errorf(engine.ErrInvalid, "invalid mount %s: a tmpfs has no source", destination)
		}
		m.TmpfsOptions = spec.TmpfsOptions
		return m, nil
	case mount.TypeImage:
		return m, engine.Errorf(engine.ErrUnsupported, "cannot mount %s: mounts of type image are not supported", destination)
	default:
		return m, engine.Errorf(engine.ErrInvalid, "invalid mount %s: unknown type %q", destination, spec.Type)
	}
}

func bindFromSpec(m *Mount, spec mount.Mount) error {
	if !strings.HasPrefix(spec.Source, "/") {
		return engine.Errorf(engine.ErrInvalid, "invalid mount %s: the source %q must be an absolute path", m.Destination, spec.Source)
	}
	m.Source, m.Propagation = path.Clean(spec.Source), mount.PropagationRPrivate
	if o := spec.BindOptions; o != nil {
		if o.Propagation != "" {
			if !slices.Contains(mount.Propagations, o.Propagation) {
				return engine.Errorf(engine.ErrInvalid, "invalid mount %s: unknown propagation %q", m.Destination, o.Propagation)
			}
			m.Propagation = o.Propagation
		}
		m.CreateSource, m.NonRecursive = o.CreateMountpoint, o.NonRecursive
		m.ShallowRO, m.ForceRecursive = o.ReadOnlyNonRecursive, o.ReadOnlyForceRecursive
	}
	return nil
}

func volumeFromSpec(m *Mount, spec mount.Mount) {
	m.Name, m.Anonymous = spec.Source, spec.Source == ""
	m.VolumeOptions = spec.VolumeOptions
	if o := spec.VolumeOptions; o != nil {
		m.NoCopy, m.Subpath = o.NoCopy, o.Subpath
	}
}

func cleanDestination(target string) (string, error) {
	if !strings.HasPrefix(target, "/") {
		return "", engine.Errorf(engine.ErrInvalid, "invalid mount path: %q: it must be absolute", target)
	}
	clean := path.Clean(target)
	if clean == "/" {
		return "", engine.Errorf(engine.ErrInvalid, "invalid mount path: %q: the destination cannot be /", target)
	}
	return clean, nil
}
