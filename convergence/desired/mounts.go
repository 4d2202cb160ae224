package desired

import (
	"io/fs"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/docker/api/types/mount"
)

// mounts are the service's volumes and the configs and secrets that are files of the host. A bind whose source may be
// created is written in the older form, Binds: engines before API 1.42 create it in that form only. Without options it may be created, too.
func (s *serviceBuilder) mounts() (binds []string, mounts []mount.Mount) {
	for i, v := range s.Volumes {
		if bind, ok := s.bind(v, i); ok {
			binds = append(binds, bind)
			continue
		}
		mounts = append(mounts, s.mount(v, i))
	}
	return binds, append(mounts, s.fileMounts()...)
}

// bind is the older form, if the volume can and must be written so.
func (s *serviceBuilder) bind(v types.ServiceVolumeConfig, i int) (string, bool) {
	if v.Type != types.VolumeTypeBind {
		return "", false
	}
	options := types.ServiceVolumeBind{CreateHostPath: true}
	if v.Bind != nil {
		options = *v.Bind
	}
	if !bool(options.CreateHostPath) && options.SELinux == "" {
		return "", false
	}
	if options.Recursive != "" {
		if options.SELinux != "" {
			s.mistake("bind.recursive and bind.selinux cannot be combined", "", "volumes", strconv.Itoa(i))
		}
		return "", false
	}
	access := "rw"
	if v.ReadOnly {
		access = "ro"
	}
	mode := joinNonEmpty(",", access, options.SELinux, options.Propagation, v.Consistency)
	return v.Source + ":" + v.Target + ":" + mode, true
}

func (s *serviceBuilder) mount(v types.ServiceVolumeConfig, i int) mount.Mount {
	m := mount.Mount{Type: mount.Type(v.Type), Source: v.Source, Target: v.Target, ReadOnly: v.ReadOnly, Consistency: mount.Consistency(v.Consistency)}
	switch v.Type {
	case types.VolumeTypeBind:
		m.BindOptions = s.bindOptions(v, i)
	case types.VolumeTypeVolume:
		s.volumeMount(&m, v)
	case types.VolumeTypeTmpfs:
		m.Source = ""
		if v.Tmpfs != nil {
			m.TmpfsOptions = &mount.TmpfsOptions{SizeBytes: int64(v.Tmpfs.Size), Mode: fs.FileMode(v.Tmpfs.Mode)}
		}
	case types.VolumeTypeImage:
		if v.Image != nil && v.Image.SubPath != "" {
			m.ImageOptions = &mount.ImageOptions{Subpath: v.Image.SubPath}
		}
	default:
		s.mistake("volumes of type "+v.Type+" are not supported", "write bind, volume, tmpfs or image", "volumes", strconv.Itoa(i))
	}
	return m
}

func (s *serviceBuilder) bindOptions(v types.ServiceVolumeConfig, i int) *mount.BindOptions {
	if v.Bind == nil {
		return nil
	}
	out := mount.BindOptions{Propagation: mount.Propagation(v.Bind.Propagation), CreateMountpoint: bool(v.Bind.CreateHostPath)}
	switch v.Bind.Recursive {
	case "", "enabled":
	case "disabled":
		out.NonRecursive = true
	case "writable":
		out.ReadOnlyNonRecursive = true
	case "readonly":
		out.ReadOnlyForceRecursive = true
	default:
		s.mistake(v.Bind.Recursive+" is not a value of bind.recursive", "write enabled, disabled, writable or readonly", "volumes", strconv.Itoa(i))
	}
	if out == (mount.BindOptions{}) {
		return nil
	}
	return &out
}

// volumeMount names the volume as the engine knows it; without a source the engine makes an anonymous one.
func (s *serviceBuilder) volumeMount(m *mount.Mount, v types.ServiceVolumeConfig) {
	if v.Source != "" {
		m.Source = s.b.project.Volumes[v.Source].Name
	}
	if v.Volume == nil {
		return
	}
	if v.Volume.NoCopy || v.Volume.Subpath != "" || len(v.Volume.Labels) > 0 {
		m.VolumeOptions = &mount.VolumeOptions{NoCopy: v.Volume.NoCopy, Subpath: v.Volume.Subpath, Labels: v.Volume.Labels}
	}
}
