package plan

import (
	"maps"
	"regexp"
	"slices"

	"github.com/docker/docker/api/types/mount"

	"stackrun.dev/stack/convergence/desired"
	"stackrun.dev/stack/engine"
)

// make adds the creation under a name, and the copying of files; it returns the last of them.
func (u *up) make(s *service, m *member, name string, config engine.CreateConfig, cause string, behind ...string) string {
	op := &CreateContainer{Header: header(s.Name), Name: name, Config: config, Settings: m.Settings, ImageID: s.imageID}
	if s.imageID == "" {
		op.ImageFrom = s.Image
	}
	op.References, op.Referred = s.References, u.referred(s.References)
	needs := append(u.resources(s), s.imageOp)
	needs = append(needs, m.cleared...)
	needs = append(needs, s.behind()...)
	id := u.add("create", op, Subject{Container, name}, cause, append(needs, behind...)...)
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
// runs running, and what cannot be started gives way to what ran before; see Restore. An update_config says otherwise, for
// all of the service's containers together; see rollout.
func (u *up) replace(s *service, m *member) {
	s.made = true
	m.begin = true
	m.before = &Replaced{
		Container: m.now.ID, Name: m.now.Name, Running: m.now.Status.Alive(),
		Temporary: temporaryName(m.now.ID, m.Name), Final: m.Name,
	}
	if u.rollsOut(s) {
		s.rollout.members = append(s.rollout.members, m)
		return
	}
	u.takePlace(s, m, u.beside(s, m))
	if u.options.NoStart {
		u.remove(*m.now, u.options.RenewVolumes, joinCauses(m.causes), m.ready...)
	}
}

// beside makes the new container under its temporary name and returns the operation after which it is there.
func (u *up) beside(s *service, m *member, behind ...string) string {
	config := m.Config
	if !u.options.RenewVolumes {
		config = inherit(config, m.now.Anonymous)
	}
	if m.before.Order == desired.StartFirst && u.options.Handover {
		config = takingOver(config, m.now.ID)
	}
	return u.make(s, m, m.before.Temporary, config, joinCauses(m.causes), behind...)
}

// takePlace stops the old container and gives its name to the new one, after the operation.
func (u *up) takePlace(s *service, m *member, last string) {
	cause := joinCauses(m.causes)
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
}

const setAside = "set aside"

// temporaryName is what the new container is called until the old one has made place.
func temporaryName(id, name string) string { return shortID(id) + "_" + name }

// isTemporary is the beginning of such a name.
var isTemporary = regexp.MustCompile(`^[0-9a-f]{12}_`)

// FinalName is what a container is called when it has the place of the one that it is made to replace.
func FinalName(name string) string { return isTemporary.ReplaceAllString(name, "") }

// asideName is what the old container is called until the new one has started.
func asideName(id, name string) string { return name + "_" + shortID(id) }

// takingOver says in a label from which container the new one gets the ports of the host. It is none of the settings that
// containers are compared by.
func takingOver(config engine.CreateConfig, id string) engine.CreateConfig {
	own := *config.Config
	own.Labels = maps.Clone(own.Labels)
	own.Labels[desired.LabelTakesOver] = id
	config.Config = &own
	return config
}

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
