package plan

import (
	"maps"
	"slices"

	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// make adds the creation under a name, and the copying of files; it returns the last of them.
func (u *up) make(s *service, m *member, name string, config engine.CreateConfig, cause string) string {
	op := &CreateContainer{Header: header(s.Name), Name: name, Config: config, Settings: m.Settings, ImageID: s.imageID}
	if s.imageID == "" {
		op.ImageFrom = s.Image
	}
	needs := append(u.resources(s), s.imageOp)
	needs = append(needs, m.cleared...)
	needs = append(needs, s.behind()...)
	id := u.add("create", op, Subject{Container, name}, cause, needs...)
	files := copied(m.Files)
	if len(files) == 0 {
		return id
	}
	copying := &CopyFiles{Header: header(s.Name), Container: name, Files: files}
	return u.add("copy files to", copying, Subject{Container, name}, "configs and secrets", id)
}

// Sealed is the configuration with the labels that a later plan compares with. They are written when the container is made:
// packing the settings of thousands takes longer than planning them.
func (op *CreateContainer) Sealed() engine.CreateConfig {
	config := op.Config
	if op.Settings == nil {
		return config
	}
	own := *config.Config
	own.Labels = maps.Clone(own.Labels)
	own.Labels[desired.LabelConfig] = op.Settings.Pack()
	own.Labels[desired.LabelImage] = op.ImageID
	config.Config = &own
	return config
}

// replace makes the new container beside the old one, under another name; only when that worked is the old one stopped and
// set aside, and only when the new one has started is it removed. So a configuration that the engine refuses leaves what
// runs running, and what cannot be started gives way to what ran before; see Restore.
func (u *up) replace(s *service, m *member) {
	s.made = true
	m.begin = true
	cause := joinCauses(m.causes)
	config := m.Config
	if !u.options.RenewVolumes {
		config = inherit(config, m.now.Anonymous)
	}
	m.before = &Replaced{
		Container: m.now.ID, Name: m.now.Name, Running: m.now.Status.Alive(),
		Temporary: temporaryName(m.now.ID, m.Name), Final: m.Name,
	}
	last := u.make(s, m, m.before.Temporary, config, cause)
	if m.before.Running {
		m.stopped = u.stop(*m.now, u.options.Timeout, cause, last)
		last = m.stopped
	}
	if m.now.Name == m.Name { // else it is out of the way
		aside := &RenameContainer{Header: header(s.Name), Container: m.now.ID, Name: asideName(m.now.ID, m.Name)}
		last = u.add(setAside, aside, Subject{Container, m.now.Name}, cause, last)
	}
	rename := &RenameContainer{Header: header(s.Name), Container: m.before.Temporary, Name: m.Name}
	m.ready = []string{u.add("rename", rename, Subject{Container, m.Name}, "it takes the place of the old one", last)}
	if u.options.NoStart {
		u.remove(*m.now, u.options.RenewVolumes, cause, m.ready...)
	}
}

const setAside = "set aside"

// temporaryName is what the new container is called until the old one has made place.
func temporaryName(id, name string) string { return shortID(id) + "_" + name }

// asideName is what the old container is called until the new one has started.
func asideName(id, name string) string { return name + "_" + shortID(id) }

// inherit mounts the old container's anonymous volumes where the new one mounts nothing of its own.
func inherit(config engine.CreateConfig, volumes map[string]string) engine.CreateConfig {
	if len(volumes) == 0 {
		return config
	}
	host := *config.Host
	host.Mounts = slices.Clone(host.Mounts)
	for _, target := range slices.Sorted(maps.Keys(volumes)) {
		i := slices.IndexFunc(host.Mounts, func(m mount.Mount) bool { return m.Target == target })
		switch {
		case i >= 0 && host.Mounts[i].Type == mount.TypeVolume && host.Mounts[i].Source == "":
			host.Mounts[i].Source = volumes[target]
		case i < 0 && !bound(&host, target):
			host.Mounts = append(host.Mounts, mount.Mount{Type: mount.TypeVolume, Source: volumes[target], Target: target})
		}
	}
	config.Host = &host
	return config
}
