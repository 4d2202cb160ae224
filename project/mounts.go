package project

import (
	"fmt"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// mounts reports two mounts at the same place of a container, and what a mount says that is about one of another type.
func (v *validator) mounts(s types.ServiceConfig) {
	taken := make(map[string]string)
	at := func(target, attribute string, i int) {
		if other, twice := taken[target]; twice {
			v.fail("duplicate-mount", fmt.Sprintf("%s has a mount already, from %s", target, other), "choose another place, or remove one of the two",
				"services", s.Name, attribute, index(i))
		}
		taken[target] = attribute
	}
	for i, t := range s.Tmpfs {
		path, _, _ := strings.Cut(t, ":")
		at(path, "tmpfs", i)
	}
	for i, m := range s.Volumes {
		at(m.Target, "volumes", i)
		v.ofItsType(m, "services", s.Name, "volumes", index(i))
	}
}

// ofItsType reports what has no meaning for a mount of its type: a tmpfs with a source, which engines refuse, and options
// of another type, which they never see. A type that overrides another one leaves such things behind, and is meant so.
func (v *validator) ofItsType(m types.ServiceVolumeConfig, path ...string) {
	e, _ := v.root.Find(path...)
	written := e.Value.Get("type")
	if written == nil || written.Before != nil {
		return
	}
	if m.Type == types.VolumeTypeTmpfs && m.Source != "" {
		v.fail(conflicting, "a mount of the type tmpfs is in memory and has no source", "write type: bind or type: volume, or remove the source", append(path, "source")...)
	}
	for _, kind := range []string{types.VolumeTypeBind, types.VolumeTypeVolume, types.VolumeTypeTmpfs, types.VolumeTypeImage} {
		options := e.Value.Entry(kind)
		if kind == m.Type || options == nil || options.At.File == nil {
			continue
		}
		for _, o := range options.Value.Entries {
			if o.Key != "selinux" { // many write :z for volumes, to be sure
				v.warn("no-effect", fmt.Sprintf("%s.%s has no effect on a mount of the type %s; remove it, or write type: %s", kind, o.Key, m.Type, kind), options.At)
			}
		}
	}
}
